"""The tables: what is run for each, in alternating runs, and what its figures are called."""

from .alone import pipes, supervisor, workers
from .bench import Bench
from .idle import close, ends, memory
from .requests import bulk, connect, keepalive, syscalls
from .tried import allocator, buffers, contexts, groups, lto, pipelining, quickack

TABLES = {table.__name__: table for table in (ends, close, keepalive, syscalls, bulk, connect, memory, pipes, supervisor, workers)}
TRIED = {table.__name__: table for table in (groups, contexts, buffers, allocator, lto, quickack, pipelining)}

__all__ = ["Bench", "TABLES", "TRIED"]
