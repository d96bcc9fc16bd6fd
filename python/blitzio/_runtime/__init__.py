"""What `blitzio.runtime` and `blitzio.task` are made of, beside the native half
(src/python/runtime: JoinHandle, queues, stealing, spawn).

worker    one thread with a loop
scheduler the workers of a runtime, and their life
blocking  the process's threads for spawn_blocking() outside runtimes
info      what a runtime tells of its parts
parallel  one parallel_map() or parallel_for() on its way
waiting   wait_for(): any awaitable as a coroutine
"""
