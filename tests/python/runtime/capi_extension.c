/* An extension that uses blitzio's C API: a value to wait for, and futures that misbehave. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <blitzio_capi.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* Each interpreter has a module of its own. */
typedef struct {
  BlitzioAPI blitzio;
  PyTypeObject* one_shot_type;
  atomic_long drops; /* of futures */
} ModuleState;

/* ---- a future: the value of a OneShot ---- */
/* [one-shot] */

/* A value that is set once, by any thread, and waited for by one task or thread at a time. */
typedef struct {
  PyObject_HEAD ModuleState* module;
  PyObject* value;      /* set before `is_set`, never after */
  pthread_mutex_t lock; /* guards the three below; never held while waking or calling Python */
  int is_set;
  int has_waiter;
  BlitzioWaker waker; /* of the waiter, once it was polled */
  pthread_t thread;   /* runs if `has_thread` */
  int has_thread;
} OneShot;

static int wait_poll(void* state, const BlitzioWaker* waker, PyObject** result) {
  OneShot* self = state;
  BlitzioWaker latest = Blitzio_WakerClone(waker);
  pthread_mutex_lock(&self->lock);
  const int is_set = self->is_set;
  BlitzioWaker old = self->waker;
  self->waker = latest;
  pthread_mutex_unlock(&self->lock);
  Blitzio_WakerDrop(&old);
  if (!is_set) return BLITZIO_PENDING;
  Py_INCREF(self->value);
  *result = self->value;
  return BLITZIO_READY;
}

static void wait_drop(void* state) {
  OneShot* self = state;
  pthread_mutex_lock(&self->lock);
  BlitzioWaker waker = Blitzio_WakerTake(&self->waker);
  self->has_waiter = 0;
  pthread_mutex_unlock(&self->lock);
  Blitzio_WakerDrop(&waker);
  self->module->drops++;
}

static const BlitzioFutureOps wait_ops = {wait_poll, wait_drop, NULL};

static int one_shot_begin_wait(OneShot* self) {
  pthread_mutex_lock(&self->lock);
  const int was_waited_for = self->has_waiter;
  self->has_waiter = 1;
  pthread_mutex_unlock(&self->lock);
  if (was_waited_for) PyErr_SetString(PyExc_RuntimeError, "somebody else waits for this value");
  return was_waited_for ? -1 : 0;
}

static PyObject* one_shot_wait(PyObject* object, PyObject* Py_UNUSED(none)) {
  OneShot* self = (OneShot*)object;
  if (one_shot_begin_wait(self) != 0) return NULL;
  return Blitzio_NewAwaitable(&self->module->blitzio, &wait_ops, self, object, "OneShot.wait");
}

static PyObject* one_shot_blocking_wait(PyObject* object, PyObject* timeout) {
  OneShot* self = (OneShot*)object;
  if (one_shot_begin_wait(self) != 0) return NULL;
  return Blitzio_BlockOn(&self->module->blitzio, &wait_ops, self, "OneShot.blocking_wait", timeout);
}

/* Any thread; knows nothing of Python. */
static void* one_shot_complete(void* argument) {
  OneShot* self = argument;
  pthread_mutex_lock(&self->lock);
  self->is_set = 1;
  BlitzioWaker waker = Blitzio_WakerTake(&self->waker);
  pthread_mutex_unlock(&self->lock);
  Blitzio_WakerWake(&waker);
  return NULL;
}
/* [end] */

/* Returns -1 with an exception set if there is a value already. */
static int one_shot_store(OneShot* self, PyObject* value) {
  pthread_mutex_lock(&self->lock);
  const int had_value = self->value != NULL;
  if (!had_value) {
    Py_INCREF(value);
    self->value = value;
  }
  pthread_mutex_unlock(&self->lock);
  if (had_value) PyErr_SetString(PyExc_RuntimeError, "the value is set already");
  return had_value ? -1 : 0;
}

static PyObject* one_shot_set(PyObject* object, PyObject* value) {
  OneShot* self = (OneShot*)object;
  if (one_shot_store(self, value) != 0) return NULL;
  one_shot_complete(self);
  Py_RETURN_NONE;
}

static PyObject* one_shot_set_from_thread(PyObject* object, PyObject* value) {
  OneShot* self = (OneShot*)object;
  if (one_shot_store(self, value) != 0) return NULL;
  const int error = pthread_create(&self->thread, NULL, one_shot_complete, self);
  if (error != 0) {
    errno = error;
    return PyErr_SetFromErrno(PyExc_OSError);
  }
  self->has_thread = 1;
  Py_RETURN_NONE;
}

/* Detached, on the caller's own thread. */
static PyObject* one_shot_set_detached(PyObject* object, PyObject* value) {
  OneShot* self = (OneShot*)object;
  if (one_shot_store(self, value) != 0) return NULL;
  Py_BEGIN_ALLOW_THREADS one_shot_complete(self);
  Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

#define WAKER "capi_extension.waker"

static void waker_free(PyObject* capsule) {
  BlitzioWaker* waker = PyCapsule_GetPointer(capsule, WAKER);
  Blitzio_WakerDrop(waker);
  free(waker);
}

/* A clone of the waiter's waker, to be used when it should not. */
static PyObject* one_shot_waker(PyObject* object, PyObject* Py_UNUSED(none)) {
  OneShot* self = (OneShot*)object;
  BlitzioWaker* copy = malloc(sizeof *copy);
  if (copy == NULL) return PyErr_NoMemory();
  pthread_mutex_lock(&self->lock);
  *copy = Blitzio_WakerClone(&self->waker);
  pthread_mutex_unlock(&self->lock);
  return PyCapsule_New(copy, WAKER, waker_free);
}

static PyMethodDef one_shot_methods[] = {
    {"wait", one_shot_wait, METH_NOARGS, NULL},
    {"blocking_wait", one_shot_blocking_wait, METH_O, NULL},
    {"set", one_shot_set, METH_O, NULL},
    {"set_from_thread", one_shot_set_from_thread, METH_O, NULL},
    {"set_detached", one_shot_set_detached, METH_O, NULL},
    {"waker", one_shot_waker, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyObject* one_shot_new(PyTypeObject* type, PyObject* Py_UNUSED(args),
                              PyObject* Py_UNUSED(kwargs)) {
  OneShot* self = (OneShot*)type->tp_alloc(type, 0);
  if (self == NULL) return NULL;
  self->module = PyType_GetModuleState(type);
  pthread_mutex_init(&self->lock, NULL);
  return (PyObject*)self;
}

static int one_shot_traverse(PyObject* object, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(object));
  Py_VISIT(((OneShot*)object)->value);
  return 0;
}

static void one_shot_dealloc(PyObject* object) {
  OneShot* self = (OneShot*)object;
  PyTypeObject* type = Py_TYPE(object);
  PyObject_GC_UnTrack(object);
  if (self->has_thread) pthread_join(self->thread, NULL);
  pthread_mutex_destroy(&self->lock);
  Py_XDECREF(self->value);
  type->tp_free(object);
  Py_DECREF(type);
}

static PyType_Slot one_shot_slots[] = {
    {Py_tp_new, one_shot_new},
    {Py_tp_traverse, one_shot_traverse},
    {Py_tp_dealloc, one_shot_dealloc},
    {Py_tp_methods, one_shot_methods},
    {0, NULL},
};

static PyType_Spec one_shot_spec = {
    .name = "capi_extension.OneShot",
    .basicsize = sizeof(OneShot),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = one_shot_slots,
};

/* ---- a future with an answer
 * ---- */

typedef struct {
  ModuleState* module;
  PyObject* value; /* a result, or the exception to raise; or NULL */
  int answer;
  int unraisable;
} Answer;

static int answer_poll(void* state, const BlitzioWaker* waker, PyObject** result) {
  Answer* self = state;
  Blitzio_WakerWakeByRef(waker); /* One too many. */
  if (self->value != NULL && PyExceptionInstance_Check(self->value)) {
    PyErr_SetObject((PyObject*)Py_TYPE(self->value), self->value);
  } else {
    Py_XINCREF(self->value);
    *result = self->value;
  }
  return self->answer;
}

static void answer_drop(void* state) {
  Answer* self = state;
  self->module->drops++;
  Py_XDECREF(self->value);
  if (self->unraisable) PyErr_SetString(PyExc_ValueError, "left set by drop");
  free(self);
}

static int answer_traverse(void* state, visitproc visit, void* arg) {
  Py_VISIT(((Answer*)state)->value);
  return 0;
}

static const BlitzioFutureOps answer_ops = {answer_poll, answer_drop, answer_traverse};

/* answer(code, value=nothing, unraisable=False): its poll returns the code, with that value. */
static PyObject* module_answer(PyObject* module, PyObject* args) {
  ModuleState* state = PyModule_GetState(module);
  PyObject* value = NULL;
  int answer = 0, unraisable = 0;
  if (!PyArg_ParseTuple(args, "i|Op", &answer, &value, &unraisable)) return NULL;
  Answer* future = malloc(sizeof *future);
  if (future == NULL) return PyErr_NoMemory();
  Py_XINCREF(value);
  *future = (Answer){state, value, answer, unraisable};
  return Blitzio_NewAwaitable(&state->blitzio, &answer_ops, future, NULL, "answer");
}

/* ---- the module
 * ---- */

static void* wake_elsewhere(void* waker) {
  BlitzioWaker clone = Blitzio_WakerClone(waker);
  Blitzio_WakerWakeByRef(waker);
  Blitzio_WakerWake(&clone);
  Blitzio_WakerWake(&clone); /* Empty: nothing. */
  return NULL;
}

/* Wakes by a thread that Python does not know, and waits for that thread. */
static PyObject* module_wake(PyObject* Py_UNUSED(module), PyObject* capsule) {
  BlitzioWaker* waker = PyCapsule_GetPointer(capsule, WAKER);
  if (waker == NULL) return NULL;
  pthread_t thread;
  const int error = pthread_create(&thread, NULL, wake_elsewhere, waker);
  if (error == 0) pthread_join(thread, NULL);
  return PyLong_FromLong(error);
}

static PyObject* module_wakes_same(PyObject* Py_UNUSED(module), PyObject* args) {
  PyObject *one = NULL, *other = NULL;
  if (!PyArg_ParseTuple(args, "OO", &one, &other)) return NULL;
  const BlitzioWaker* waker = PyCapsule_GetPointer(one, WAKER);
  const BlitzioWaker* second = waker == NULL ? NULL : PyCapsule_GetPointer(other, WAKER);
  if (second == NULL) return NULL;
  return PyBool_FromLong(Blitzio_WakerWillWakeSame(waker, second));
}

static PyObject* module_drops(PyObject* module, PyObject* Py_UNUSED(none)) {
  return PyLong_FromLong(((ModuleState*)PyModule_GetState(module))->drops);
}

static PyObject* module_import_version(PyObject* module, PyObject* args) {
  ModuleState* state = PyModule_GetState(module);
  unsigned major = 0, minor = 0;
  if (!PyArg_ParseTuple(args, "II", &major, &minor)) return NULL;
  if (Blitzio_ImportVersion(&state->blitzio, major, minor) != 0) return NULL;
  Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"answer", module_answer, METH_VARARGS, NULL},
    {"wake", module_wake, METH_O, NULL},
    {"wakes_same", module_wakes_same, METH_VARARGS, NULL},
    {"drops", module_drops, METH_NOARGS, NULL},
    {"import_version", module_import_version, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* [module] */
static int module_exec(PyObject* module) {
  ModuleState* state = PyModule_GetState(module);
  if (Blitzio_Import(&state->blitzio) != 0) return -1;
  PyObject* type = PyType_FromModuleAndSpec(module, &one_shot_spec, NULL);
  if (type == NULL) return -1;
  state->one_shot_type = (PyTypeObject*)type;
  return PyModule_AddType(module, state->one_shot_type);
}

static int module_traverse(PyObject* module, visitproc visit, void* arg) {
  ModuleState* state = PyModule_GetState(module);
  Py_VISIT(state->blitzio.module);
  Py_VISIT(state->one_shot_type);
  return 0;
}

static int module_clear(PyObject* module) {
  ModuleState* state = PyModule_GetState(module);
  Blitzio_Clear(&state->blitzio);
  Py_CLEAR(state->one_shot_type);
  return 0;
}

static void module_free(void* module) {
  module_clear(module);
}
/* [end] */

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

static PyModuleDef module_definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "capi_extension",
    .m_size = sizeof(ModuleState),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
    .m_free = module_free,
};

PyMODINIT_FUNC PyInit_capi_extension(void) {
  return PyModuleDef_Init(&module_definition);
}
