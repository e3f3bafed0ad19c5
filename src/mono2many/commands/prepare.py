"""Data sets made ready: `mono2many prepare`."""

from mono2many.datasets import DATASETS
from mono2many.errors import InputError


def run(arguments: list[str]) -> None:
    kind, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    known = {name: d for name, d in DATASETS.items() if d.prepare is not None}
    if kind in ("-h", "--help"):
        print("usage: mono2many prepare KIND --help  tells more of each kind\n")
        for name, dataset in known.items():
            print(f"  mono2many prepare {name:<12} {dataset.preparation}")
        return
    prepare = known[kind].prepare if kind in known else None
    if prepare is None:
        raise InputError(f"prepare what? got {kind or 'nothing'}, wanted {', '.join(known)}")
    prepare(rest)
