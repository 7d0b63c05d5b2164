"""Python code in a process of its own: with nothing imported before, and free to fork."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
READ_INPUTS = "import json, sys\ninputs = json.load(sys.stdin)\n"


def run(code: str, *options: str, **inputs: Any) -> subprocess.CompletedProcess[str]:
    """Run code with `inputs` as JSON gives them back; options are those of Python."""
    return subprocess.run(
        [sys.executable, *options, "-c", READ_INPUTS + code],
        input=json.dumps(inputs),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def answer(code: str, **inputs: Any) -> Any:
    """Run code where warnings are errors, and read what it prints as JSON."""
    process = run(code, "-W", "error", **inputs)
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)
