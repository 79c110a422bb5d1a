"""The composition root: builds the runtime from its settings, and takes it down again.

`ground` is what everything stands on, `databases` the tools of databases, `tools` all tools there are,
`service` the worker and the service over them, `loops` what runs beside them, and `runtime` puts these
together. Nothing else in the product builds its own parts.
"""

from stepwell.bootstrap.runtime import Runtime, open_runtime

__all__ = ["Runtime", "open_runtime"]
