/* blitzio for extensions written in C: a future that is polled, as a Python awaitable.
 *
 * A future is a `state` and its BlitzioFutureOps. Polled, it is ready, or fails, or keeps a clone
 * of the waker and is polled again once that was woken, which may be done on any thread, without
 * Python. Blitzio_NewAwaitable() makes of it what a task of any loop can await (blitzio's,
 * asyncio's, uvloop's), Blitzio_BlockOn() waits for it on a plain thread.
 *
 * C99 and C++; also with Py_LIMITED_API. `blitzio.get_include()` is the folder of this file.
 * Nothing is linked to: Blitzio_Import() finds the functions in a capsule.
 *
 * Threads: unless it says more, a function is called attached to the interpreter ("with the GIL").
 */
#ifndef BLITZIO_CAPI_H
#define BLITZIO_CAPI_H

#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#define BLITZIO_CAPI_CAST(type, value) static_cast<type>(value)
#else
#define BLITZIO_CAPI_CAST(type, value) ((type)(value))
#endif

/* The version that this header describes. What was compiled against it runs with every blitzio of
 * the same major version whose minor version is not lower. */
#define BLITZIO_CAPI_MAJOR 1
#define BLITZIO_CAPI_MINOR 0
#define BLITZIO_CAPI_CAPSULE "blitzio._native._C_API"

/* ---- wakers ----
 *
 * A waker is a share of a wake-up: a value to be copied as it is, and given back once, by
 * Blitzio_WakerWake() or Blitzio_WakerDrop(). One of zeros is empty and does nothing.
 *
 * Threads: any, attached or not, one at a time for each waker; also after what it would wake, its
 * loop or the interpreter has ended: then it does nothing. No call waits for the interpreter. Hold
 * no lock meanwhile: on the loop's own thread, attached, a wake may call into the loop. Signal
 * handlers may not use wakers.
 */

typedef struct BlitzioWakerVTable {
  void* (*clone)(void* data);      /* returns the data of the new waker */
  void (*wake)(void* data);        /* wakes and gives back the share */
  void (*wake_by_ref)(void* data); /* wakes and gives nothing back */
  void (*drop)(void* data);        /* gives back the share */
} BlitzioWakerVTable;

/* Has the layout of C++'s blitzio::Waker. */
typedef struct BlitzioWaker {
  void* data;
  const BlitzioWakerVTable* vtable;
} BlitzioWaker;

/* A waker of its own for the same target. */
static inline BlitzioWaker Blitzio_WakerClone(const BlitzioWaker* waker) {
  BlitzioWaker clone = {NULL, waker->vtable};
  if (waker->vtable != NULL) clone.data = waker->vtable->clone(waker->data);
  return clone;
}

/* Empties the waker and returns what it was: to be woken or dropped when a lock is released. */
static inline BlitzioWaker Blitzio_WakerTake(BlitzioWaker* waker) {
  const BlitzioWaker taken = *waker;
  waker->data = NULL;
  waker->vtable = NULL;
  return taken;
}

/* Has the future polled again; leaves the waker empty. Many wakes before that poll cost one. */
static inline void Blitzio_WakerWake(BlitzioWaker* waker) {
  const BlitzioWaker taken = Blitzio_WakerTake(waker);
  if (taken.vtable != NULL) taken.vtable->wake(taken.data);
}

/* The same, and the waker stays. */
static inline void Blitzio_WakerWakeByRef(const BlitzioWaker* waker) {
  if (waker->vtable != NULL) waker->vtable->wake_by_ref(waker->data);
}

/* Gives the share back without waking; leaves the waker empty. */
static inline void Blitzio_WakerDrop(BlitzioWaker* waker) {
  const BlitzioWaker taken = Blitzio_WakerTake(waker);
  if (taken.vtable != NULL) taken.vtable->drop(taken.data);
}

/* Whether both wake the same, so that a kept one need not be replaced. May say no (0) for equal
 * targets, never yes for different ones. */
static inline int Blitzio_WakerWillWakeSame(const BlitzioWaker* one, const BlitzioWaker* other) {
  return one->data == other->data && one->vtable == other->vtable;
}

/* ---- futures ----
 *
 *   Blitzio_NewAwaitable ──▶ poll* ──▶ drop
 *
 * `drop` is called exactly once, however it ends: after a poll that was ready or failed, when the
 * task is cancelled, when the awaitable is closed or was never awaited, when its loop is closed,
 * and when it could not be made. No poll comes after it.
 */

enum { BLITZIO_PENDING = 0, BLITZIO_READY = 1, BLITZIO_ERROR = -1 };

typedef struct BlitzioFutureOps {
  /* Returns  BLITZIO_READY with `*result` set to a new reference; BLITZIO_ERROR with an exception
   *          set; BLITZIO_PENDING, after a clone of `waker` was kept to be woken. Anything else is
   *          reported as SystemError.
   * `waker` is a loan for this call. The first clone of it is made in the poll; clones are cloned
   * anywhere. A poll may come unasked, and the task that polls may be another than before: keep a
   * clone of the latest waker. */
  int (*poll)(void* state, const BlitzioWaker* waker, PyObject** result);
  /* Frees `state`. Takes back what it waits for: wakers that others keep may still be woken. An
   * exception left set is reported as unraisable. */
  void (*drop)(void* state);
  /* Visits the Python objects of `state`, as tp_traverse does; NULL if it has none. A garbage
   * collection that finds a cycle ends it by `drop`. */
  int (*traverse)(void* state, visitproc visit, void* arg);
} BlitzioFutureOps;

/* ---- the module ---- */

/* What the capsule holds. Use the functions below. */
typedef struct BlitzioTable {
  uint32_t major;
  uint32_t minor;
  PyObject* (*new_awaitable)(PyObject* module, const BlitzioFutureOps* ops, void* state,
                             PyObject* owner, const char* name);
  PyObject* (*block_on)(PyObject* module, const BlitzioFutureOps* ops, void* state,
                        const char* name, PyObject* timeout);
} BlitzioTable;

/* blitzio as one interpreter has imported it: belongs into the state of the extension's module,
 * whose m_traverse visits `module` and whose m_clear calls Blitzio_Clear(). All zeros: not
 * imported. */
typedef struct BlitzioAPI {
  const BlitzioTable* table;
  PyObject* module; /* strong */
} BlitzioAPI;

static inline void Blitzio_Clear(BlitzioAPI* api) {
  PyObject* module = api->module;
  api->table = NULL;
  api->module = NULL;
  Py_XDECREF(module);
}

/* For what gets along with an older version than this header's. Returns as Blitzio_Import(). */
static inline int Blitzio_ImportVersion(BlitzioAPI* api, unsigned major, unsigned minor) {
  const BlitzioTable* table =
      BLITZIO_CAPI_CAST(const BlitzioTable*, PyCapsule_Import(BLITZIO_CAPI_CAPSULE, 0));
  if (table == NULL) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) {
      PyErr_SetString(PyExc_ImportError, "the installed blitzio has no C API: install a newer one");
    }
    return -1;
  }
  if (table->major != major || table->minor < minor) {
    PyErr_Format(PyExc_ImportError,
                 "this extension was compiled for version %u.%u of blitzio's C API, the installed "
                 "blitzio has %u.%u: %s",
                 major, minor, BLITZIO_CAPI_CAST(unsigned, table->major),
                 BLITZIO_CAPI_CAST(unsigned, table->minor),
                 table->major > major ? "compile the extension again" : "install a newer blitzio");
    return -1;
  }
  Blitzio_Clear(api);
  api->module = PyImport_ImportModule("blitzio._native");
  if (api->module == NULL) return -1;
  api->table = table;
  return 0;
}

/* Imports blitzio; for the Py_mod_exec of the extension.
 * Returns  0; -1 with an exception set: ImportError if there is no blitzio or it does not fit. */
static inline int Blitzio_Import(BlitzioAPI* api) {
  return Blitzio_ImportVersion(api, BLITZIO_CAPI_MAJOR, BLITZIO_CAPI_MINOR);
}

/* Makes an awaitable of a future. `state` is taken over, also if that fails.
 * `ops`, `name`  stay valid until `drop`: constants. The name ("OneShot.wait") is that of the
 *                coroutine in repr() and warnings.
 * `owner`        kept alive until after `drop`, for what `state` points into; may be NULL.
 * Returns  a new reference; NULL with an exception set.
 * Cost     one allocation; while a task waits one more. */
static inline PyObject* Blitzio_NewAwaitable(const BlitzioAPI* api, const BlitzioFutureOps* ops,
                                             void* state, PyObject* owner, const char* name) {
  return api->table->new_awaitable(api->module, ops, state, owner, name);
}

/* Waits for a future on this thread, which gives up the interpreter meanwhile. `state` is taken
 * over. `timeout` is None, NULL (no timeout), or seconds: a float, an int, a blitzio.Duration or a
 * datetime.timedelta.
 * Returns  the result; NULL with an exception set: what the poll or a signal's handler raised,
 *          TimeoutError, RuntimeError where an event loop is running in this thread. */
static inline PyObject* Blitzio_BlockOn(const BlitzioAPI* api, const BlitzioFutureOps* ops,
                                        void* state, const char* name, PyObject* timeout) {
  return api->table->block_on(api->module, ops, state, name, timeout);
}

#ifdef __cplusplus
}
#endif

#endif
