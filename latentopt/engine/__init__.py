"""Where tasks are done: in this process, in several, or on a cluster, by one path.

::

    tasks ──► at most a window of them at once ──► worker, made once in each process
                                                          │
    one writer  ◄── (task, result), as they come ◄────────┘
"""

from latentopt.engine.chosen import add_arguments, check, engine_of
from latentopt.engine.local import LOCAL, Engine, Local
from latentopt.engine.station import Make

__all__ = ["LOCAL", "Engine", "Local", "Make", "add_arguments", "check", "engine_of"]
