"""What `blitzio.io` is made of.

handle     Io, IoFuture, IoGroup: what programs see
outside    the types of Io.fs, net, process and signal
threaded   an implementation: a thread for each task
evented    an implementation: the workers of a Runtime
world      an implementation for tests: simulated time, order, network and files
sim_loop   its event loop
sim_net    its network
sim_stream a connection of it
sim_unix   its Unix sockets; sim_bound is what all its sockets need
sim_fs     its files; sim_tree is where they are, sim_file an open one
sim_system its signals and processes

reader, writer  any stream through a buffer; stream_calls is what both need
"""
