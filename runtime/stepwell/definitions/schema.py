"""The JSON Schema of the authoring format, for editors; made of the validator's own table.

`python -m stepwell.definitions.schema` prints it. The copy in `docs/workflow.schema.json` is
what editors are pointed to; a test compares the two.
"""

import json
import sys
from typing import Any

from stepwell.definitions.format import WORKFLOW
from stepwell.definitions.node_format import SHARED

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def workflow_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a workflow document."""
    return {
        "$schema": DIALECT,
        "title": "Stepwell workflow",
        "description": "One document is one workflow. A string that begins with = is CEL.",
        **WORKFLOW.schema(),
        "$defs": {shared.name: shared.shape.schema() for shared in SHARED},
    }


def main() -> None:
    """Prints the schema."""
    sys.stdout.write(json.dumps(workflow_schema(), indent=2) + "\n")


if __name__ == "__main__":
    main()
