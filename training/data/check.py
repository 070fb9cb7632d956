"""What a dataset holds, as a short plain table with warnings."""

import numpy as np
from numpy.typing import NDArray

from measure.labels import RARE_BELOW
from training.data.config import MovieLensConfig, TablesConfig
from training.data.dataset import UNKNOWN, Dataset
from training.data.generated_config import GeneratedConfig
from training.data.small_classes import merged_classes, too_small
from training.data.split import MIN_POSITIVES
from training.data.toml_text import toml_table

MAX_EXAMPLES = 5


def describe(dataset: Dataset, train: NDArray[np.bool_] | None = None) -> str:
    """Describe a dataset in lines of text, counts first, warnings last.

    Args:
        dataset: small classes merged, where they are to be.
        train: (U,) flags of the train users, of whom classes need some; None where they are not known.
    """
    merged = merged_classes(dataset)
    users, items, seen = len(dataset.users), len(dataset.items), dataset.indices.size
    positives = int(dataset.positive.sum())
    lines = [
        f"source        {dataset.source}",
        f"fingerprint   {dataset.fingerprint[:16]}",
        f"users         {users:,}",
        f"items         {items:,}",
        f"interactions  {seen:,} ({seen / users:.1f} per user, density {seen / users / items:.2%})",
        f"positives     {positives:,} ({positives / users:.1f} per user)",
    ]
    lines += _features(dataset)
    lines += [f"left out      {what}: {count:,}" for what, count in dataset.left_out.items()]
    for column, attribute in enumerate(dataset.attributes):
        labels = dataset.labels[:, column]
        counts = np.bincount(labels[labels != UNKNOWN], minlength=len(attribute.classes))
        width = max(map(len, attribute.classes))
        order = " in order" if attribute.ordered else ""
        unknown = (labels == UNKNOWN).sum()
        lines += ["", f"{attribute.name} ({len(attribute.classes)} classes{order}, {unknown:,} unknown)"]
        lines += [
            f"  {name:<{width}}  {count:>9,}  {count / users:6.1%}"
            for name, count in zip(attribute.classes, counts, strict=True)
        ]
        lines += [
            f"  merged: {name!r} stands for {', '.join(of['of'])}"
            for name, of in merged.get(attribute.name, {}).items()
        ]
    warnings = _warnings(dataset) + ([] if train is None else _not_learned(dataset, train))
    return "\n".join([*lines, "", *(f"warning: {warning}" for warning in warnings)]).rstrip() + "\n"


def _features(dataset: Dataset) -> list[str]:
    """A line for each modality, and how many items have features alone."""
    items, cold = len(dataset.items), len(dataset.cold.ids)
    lines = [f"cold items    {cold:,}, with features and without interactions"] if cold else []
    for each in dataset.modalities:
        met, new = (int(each.present[part].sum()) for part in (slice(items), slice(items, None)))
        have = f"{met:,} of {items:,} items ({met / items:.1%})" + (f", {new:,} of {cold:,} cold ones" if cold else "")
        lines.append(f"modality      {each.name}: {each.values.shape[1]} numbers, {have} have it; {each.source}")
    return lines


def as_toml(config: MovieLensConfig | TablesConfig | GeneratedConfig) -> str:
    """Write the `[data]` table of a configuration: what is set in it, to be pasted."""
    return toml_table("data", {"reader": config.reader} | config.model_dump(exclude_unset=True))


def _warnings(dataset: Dataset) -> list[str]:
    found = []
    if not dataset.attributes:
        found.append(
            "nothing is known of users that can be an attribute: nothing can be withheld, and no bundle trained"
        )
    elif "activity" in (attribute.name for attribute in dataset.attributes) and len(dataset.attributes) == 1:
        found.append("nothing is known of users that can be an attribute: how many interactions they have stands in")
    for column, attribute in enumerate(dataset.attributes):
        labels = dataset.labels[:, column]
        counts = np.bincount(labels[labels != UNKNOWN], minlength=len(attribute.classes))
        pairs = zip(attribute.classes, counts, strict=True)
        small = [f"{name} ({count})" for name, count in pairs if count < RARE_BELOW]
        if small:
            found.append(f"{attribute.name} has classes under {RARE_BELOW} users: {_some(small)}")
        if (share := float((labels == UNKNOWN).mean())) > 0:
            found.append(f"{attribute.name} is unknown for {share:.1%} of the users")
    owners = np.repeat(np.arange(len(dataset.users)), np.diff(dataset.indptr))[dataset.positive]
    few = int((np.bincount(owners, minlength=len(dataset.users)) < MIN_POSITIVES).sum())
    if few:
        found.append(f"users with fewer than {MIN_POSITIVES} positives, of whom nothing is held out: {few:,}")
    if bool(dataset.positive.all()):
        found.append("every interaction is a positive: set positive_at_least if there are ratings")
    untitled = sum(not title for title in dataset.titles)
    if untitled:
        found.append(f"items without a title: {untitled:,} of {len(dataset.items):,}")
    return found


def _not_learned(dataset: Dataset, train: NDArray[np.bool_]) -> list[str]:
    found = []
    for attribute, labels in zip(dataset.attributes, dataset.labels.T, strict=True):
        if small := too_small(attribute, labels, train):
            said = _some([f"{name} ({count})" for name, count in small.items()])
            least = f"under {attribute.classes_at_least} train users (classes_at_least)"
            found.append(f"{attribute.name} has classes {least} with nothing to merge them with: {said}")
    return found


def _some(names: list[str]) -> str:
    rest = len(names) - MAX_EXAMPLES
    return ", ".join(names[:MAX_EXAMPLES]) + (f" and {rest} more" if rest > 0 else "")
