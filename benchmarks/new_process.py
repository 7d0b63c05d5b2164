"""What one module measures, in a process that has done nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.rounds import ROOT

# A file, and not an argument: the workers of Dask import what their parent was started with.
SCRIPT = """
import json, sys
from {module} import measure
if __name__ == "__main__":
    print(json.dumps(measure(*json.load(open(sys.argv[1])))))
"""


def in_new_process(
    module: str, arguments: list[Any], *, under: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what the function ``measure`` of a module makes of some arguments.

    `under` is a command that runs the command after it, such as a profiler.
    """
    with TemporaryDirectory() as folder:
        script, inputs = Path(folder, "measure.py"), Path(folder, "inputs.json")
        script.write_text(SCRIPT.format(module=module), encoding="utf-8")
        inputs.write_text(json.dumps(arguments), encoding="utf-8")
        process = subprocess.run(
            [*under, sys.executable, str(script), str(inputs)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
    lines = process.stdout.splitlines()  # to which a profiler may have added its own
    found: dict[str, Any] = json.loads([line for line in lines if line.startswith("{")][-1])
    return found
