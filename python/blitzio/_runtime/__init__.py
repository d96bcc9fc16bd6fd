"""What `blitzio.runtime` and `blitzio.task` are made of.

handle    JoinHandle: a piece of work from spawn to its result
worker    one thread with a loop, its queue of work that has not started, stealing
scheduler the queue from outside, who is idle, whom to wake
current   which runtime the calling thread belongs to
"""
