"""What a person means who types the words of another program: its verbs, its options."""

from __future__ import annotations

from vol3d.words import ELSEWHERE, SHORT

VERBS = {
    **dict.fromkeys(("val", "eval", "validate", "test", "benchmark"), "evaluate"),
    **dict.fromkeys(("infer", "inference", "detect", "segment", "run"), "predict"),
    **dict.fromkeys(("fit", "finetune", "fine-tune"), "train"),
    **dict.fromkeys(("show", "visualize", "visualise", "preview"), "view"),
    **dict.fromkeys(("list", "info", "zoo", "card"), "models"),
    **dict.fromkeys(("configs", "recipe", "recipes", "cfg"), "config"),
    **dict.fromkeys(("checks", "env", "version"), "doctor"),
    **dict.fromkeys(("download", "pull"), "import"),
    **dict.fromkeys(("preprocess", "plan_and_preprocess"), "plan"),
    **{verb: f"data {verb}" for verb in ("check", "stats", "prepare", "convert", "generate")},
}
"""Verbs of other toolboxes -> ours."""

_FIRST = "The model comes first, without an option: vol3d"
_ANY = ("",)
_OPTIONS = (
    (
        "--source --input --inputs --in -i",
        ("predict",),
        "Scans stand without an option: vol3d predict MODEL SCAN",
    ),
    ("--source --input --inputs --in -i", ("view",), "Files stand without an option: vol3d view FILE"),
    ("--model --weights --checkpoint --ckpt -m", ("predict",), f"{_FIRST} predict MODEL SCAN -o OUT"),
    ("--model --weights --checkpoint --ckpt -m", ("evaluate",), f"{_FIRST} evaluate MODEL data=PATH"),
    (
        "--config --cfg --cfg_file -c",
        ("train", "distill"),
        "The recipe comes first: vol3d train RECIPE",
    ),
    ("--conf --threshold", ("predict",), "Boxes are chosen by --score S"),
    ("--preview", ("predict",), "Pictures are written by --format png"),
    ("--report", ("predict",), "A page is written by --format html"),
    ("--statistics", ("predict",), "Volumes and intensities are written by --format csv"),
    ("--output --output_dir --project --save_dir --work-dir --name", _ANY, "Where to write is -o OUT"),
    ("--gpu --gpus --cuda", _ANY, "The device is chosen by --device cuda:0"),
)
"""Options of other toolboxes, the verbs that they are given to, and what to type instead."""


def for_verb(word: str) -> str | None:
    """The sentence for a verb of another program; None where there is none."""
    return f"Did you mean 'vol3d {VERBS[word]}'?" if word in VERBS else None


def for_option(option: str, verb: str) -> str | None:
    """The sentence for an option of another program that was given to `verb`; None where there is none."""
    name = option.lstrip("-").replace("-", "_")
    if verb in ("train", "distill") and (word := _short_word(name)):
        return f"Settings are words without dashes: {word}=VALUE"
    rows = (row for row in _OPTIONS if option in row[0].split() and (verb in row[1] or row[1] == _ANY))
    return next((sentence for _, _, sentence in rows), None)


def _short_word(name: str) -> str | None:
    """What a setting of any toolbox is called in short here; its full name where there is no short word."""
    if name in SHORT:
        return name
    full = ELSEWHERE.get(name)
    return next((short for short, setting in SHORT.items() if setting == full), full)
