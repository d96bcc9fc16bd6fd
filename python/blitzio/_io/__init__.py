"""What `blitzio.io` is made of.

handle     Io, IoFuture, IoGroup: what programs see
threaded   an implementation: a thread for each task
evented    an implementation: the workers of a Runtime
world      an implementation for tests: simulated time, order, network and files
sim_loop   its event loop
sim_net    its network
sim_stream a connection of it
sim_fs     its files
sim_system its signals and processes

reader, writer  any stream through a buffer; stream_calls is what both need
"""
