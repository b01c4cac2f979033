"""Many files, wherever they lie: each is coded once, and a manifest says what became of it.

::

    folders, globs, URLs ──► entries ──► what the manifest has not ──► engine
                                                 ▲                       │ reads, codes, writes
                                                 └── manifest ◄── row ◄──┘
"""

from latentopt.extras import need

need("cluster", "fsspec", "pyarrow")
