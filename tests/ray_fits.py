"""What test_ray looks at, in a process of its own: Ray changes joblib for the whole process.

python -m tests.ray_fits FOLDER writes FOLDER/answers.json; FOLDER/files.json names the files.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import ray
from ray.util.joblib import register_ray
from sklearn.base import clone

from sknorm_images import ChannelStandardScaler, WorkerVersionWarning, make_image_pipeline
from sknorm_images.demo import make_photo_folder
from tests.noted_paths import interrupt_when_read, noted, readings

PAGE = Path(__file__).parent.parent / "docs" / "clusters.md"
RETRY = {"max_restarts": -1, "max_task_retries": -1}


def main(folder: Path) -> None:
    paths = json.loads((folder / "files.json").read_text()) * 125
    register_ray()
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    answers: dict[str, Any] = {"own": os.getpid(), "jobs": jobs()}
    config: dict[str, Any] = {"backend": "ray", "n_jobs": -1}
    try:
        answers["fit"] = fit(paths, folder / "fit", {"backend": "ray"}, n_jobs=-1)
        answers["killed"] = fit(paths, folder / "killed", config, deadly=1000)
        retried = config | {"ray_remote_args": RETRY}
        answers["retried"] = fit(paths, folder / "retried", retried, deadly=1000)
        answers["interrupted"] = interrupted(paths, folder / "interrupted", config)
        damaged = [*paths[:100], b"not a photo", *paths[:100], "missing.jpg"]
        answers["damaged"] = fit(damaged, folder / "damaged", config)
        answers["missing"] = fit([*paths[:200], "missing.jpg"], folder / "missing", config)
        answers["page"] = page()
        for change in ("sys.modules['sknorm_images'] = None", "PIL.__version__ = '11.3.0'"):
            answers[change] = fit_with_changed_workers(paths[:300], change)
    finally:
        ray.shutdown()
    (folder / "answers.json").write_text(json.dumps(answers))


def jobs() -> list[int]:
    with joblib.parallel_config("ray"):
        return [joblib.effective_n_jobs(n_jobs) for n_jobs in (None, -1)]


def fit(
    paths: list[Any],
    folder: Path,
    config: dict[str, Any],
    n_jobs: int | None = None,
    deadly: int | None = None,
) -> dict[str, Any]:
    """Fit a pipeline, and tell what was learned, or raised, and who read."""
    folder.mkdir()
    known = [path for path in paths if isinstance(path, str)]
    sources = iter(noted(known, folder, deadly=deadly))
    X = [next(sources) if isinstance(path, str) else path for path in paths]
    pipeline = make_image_pipeline(32, n_jobs=n_jobs)
    answer: dict[str, Any] = {}
    try:
        with joblib.parallel_config(**config):
            pipeline.fit(X)
    except Exception as error:  # noqa: BLE001 - which one is asked
        answer["error"] = type(error).__name__
        answer["where"] = getattr(error, "position", getattr(error, "filename", None))
    else:
        answer["counts"] = pipeline[-1].statistics_.counts.tolist()
        answer["mean"] = pipeline[-1].mean_.tobytes().hex()
        answer["var"] = pipeline[-1].var_.tobytes().hex()
    return answer | {"fitted": hasattr(pipeline[-1], "mean_"), "readings": readings(folder)}


def interrupted(paths: list[str], folder: Path, config: dict[str, Any]) -> dict[str, Any]:
    folder.mkdir()
    images = make_image_pipeline(32)[:-1].transform(noted(paths, folder, seconds=0.01))
    interrupt_when_read(folder)
    answer = {"raised": False}
    try:
        with joblib.parallel_config(**config):
            ChannelStandardScaler().fit(images)
    except KeyboardInterrupt:
        answer["raised"] = True
    read = sum(readings(folder).values())
    time.sleep(1)
    return answer | {"at once": read, "later": sum(readings(folder).values())}


def fit_with_changed_workers(paths: list[str], change: str) -> dict[str, Any]:
    """Fit with workers that begin with a change, and tell what was raised or warned of."""
    folder = Path("changed").absolute()
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(f"import sys\nimport PIL.Image\n{change}\n")
    search_path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    runtime_env = {"env_vars": {"PYTHONPATH": search_path}}
    config = {"n_jobs": -1, "ray_remote_args": {"runtime_env": runtime_env}}
    with (
        joblib.parallel_config("ray", **config),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", WorkerVersionWarning)
        try:
            make_image_pipeline(32).fit(paths)
        except ImportError as error:
            return {"error": str(error)}
    return {"warnings": [str(warning.message) for warning in caught]}


def page() -> dict[str, Any]:
    """Run the blocks of the page that are for Ray, word for word."""
    names: dict[str, Any] = {}
    blocks = re.findall("^```py\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    make_photo_folder(Path("photos"))
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    rows = names["dataset"].take_all()
    files, pipeline = list(names["files"]), names["pipeline"]
    here = clone(pipeline).fit(files)
    by_path = {row["path"]: row["image"] for row in rows}
    images = np.stack([by_path[file] for file in files])
    return {
        "blocks": len(blocks),
        "rows": len(rows),
        "same statistics": pipeline[-1].statistics_ == here[-1].statistics_,
        "same images": np.array_equal(images, here.transform(files)),
        "dtype": str(images.dtype),
    }


if __name__ == "__main__":
    os.chdir(sys.argv[1])  # where the workers will be, too
    main(Path(sys.argv[1]))
