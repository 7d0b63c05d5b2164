"""A target for the coverage-guided fuzzer atheris (``python -m pip install atheris``).

    python -m tests.fuzzing.atheris_target [FOLDER] [options of libFuzzer]

for example ``python -m tests.fuzzing.atheris_target -max_total_time=300``. It starts from the
files of ``python -m tests.fuzzing``, damages them in the same ways and in libFuzzer's own, and
keeps in FOLDER (results/fuzzing) what reached new code. A complaint of the judge ends it, and
leaves the file in FOLDER-failed; ``... atheris_target FILE`` runs such a file again.
"""

from __future__ import annotations

import sys
import zlib
from pathlib import Path


def main(arguments: list[str] | None = None) -> None:
    """Run libFuzzer until a case fails, or as its options say."""
    try:
        import atheris
    except ImportError as error:
        raise ImportError(
            "This target needs atheris. Run `python -m pip install atheris`, or use "
            "`python -m tests.fuzzing`, which needs no more than the tests."
        ) from error
    # What is imported here reports its branches to libFuzzer; libjpeg is machine code.
    with atheris.instrument_imports(include=["PIL", "sknorm_images"]):
        import numpy as np

        from tests.fuzzing.cases import draw_options
        from tests.fuzzing.corpus import corpus
        from tests.fuzzing.judge import FAILED, judge
        from tests.fuzzing.mutations import MUTATIONS

    mutations = list(MUTATIONS.values())

    def test_one_input(data: bytes) -> None:
        # The content alone says how it is loaded, so that a kept file is all of a case.
        options = draw_options(np.random.default_rng(zlib.crc32(data)))
        verdict = judge(data, options)
        if verdict.outcome == FAILED:
            raise AssertionError(f"{verdict.reason}; {len(data)} bytes, {options}")

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        random = np.random.default_rng(seed)
        if random.integers(2):
            return atheris.Mutate(data, max_size)
        return mutations[int(random.integers(len(mutations)))](data, random)[:max_size]

    given = sys.argv[1:] if arguments is None else arguments
    options = [argument for argument in given if argument.startswith("-")]
    inputs = [argument for argument in given if not argument.startswith("-")]
    folder = Path(inputs[0] if inputs else "results/fuzzing")
    failed = folder.with_name(f"{folder.name}-failed")
    defaults = ["-timeout=15", "-rss_limit_mb=2048"]
    if not folder.is_file():
        defaults.append(f"-artifact_prefix={failed}/")
        folder.mkdir(parents=True, exist_ok=True)
        failed.mkdir(exist_ok=True)
        for i, content in enumerate(corpus().values()):
            (folder / f"{i:02}.jpg").write_bytes(content)
    atheris.Setup(
        [sys.argv[0], *defaults, *options, *(inputs or [str(folder)])],
        test_one_input,
        custom_mutator=mutate,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
