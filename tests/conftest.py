"""Builders: a tiny real bundle, written by the real writer. They hide what does not matter and show what does."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch

from bundle import (
    SCHEMA_VERSION,
    Attribute,
    Audit,
    Bundle,
    DataSource,
    Description,
    FairEncoder,
    FoldIn,
    Items,
    Network,
    Part,
    PersonalTargets,
    Reranker,
    Seen,
    SupportedMasks,
    Tilts,
    Users,
    build_encoder,
    build_reranker,
    write_bundle,
)
from bundle.networks import KINDS, TableEncoder
from bundle.networks.calibrated import calibrated_parts
from bundle.networks.ffvae import ffvae_parts
from bundle.networks.filters import filter_parts, mask_filter_parts
from bundle.networks.identity import identity_parts
from tests import nursery

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""For the processes of pytest-xdist and all that tests start: two that compute with two threads each on two cores wait
for each other most of the time. A test of threads asks for them."""
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
"""Where there are threads, those that wait sleep: on a busy machine they would take the core that they wait for."""

hypothesis.settings.register_profile("evenhand", deadline=None)
hypothesis.settings.load_profile("evenhand")
"""No example fails for being slow: a busy machine is not a fault of what is tested."""

LONGEST = (
    "benchmarks/test_each_at_small_size.py",
    "training/test_real_data.py",
    "smoke/test_demo.py",
    "measure/report/test_report_browser.py",
    "training/test_repeatable.py",
    "browser/test_looks.py",
    "service/running/test_worker_kills.py",
    "service/index/test_backends.py",
    "contract/test_training_to_service.py",
    "browser/test_audits.py",
    "browser/test_explore.py",
    "training/test_card.py",
    "service/running/test_retraining.py",
    "browser/test_screenshots.py",
    "service/running/test_schema.py",
    "training/test_data_batches.py",
    "service/audit/test_runs.py",
    "browser/test_keys.py",
    "service/running/test_starts.py",
    "browser/test_models.py",
    "training/test_filters.py",
    "measure/test_leakage.py",
    "measure/report/test_report_audit.py",
    "service/audit/test_command.py",
    "training/test_parallel.py",
    "training/test_lattice.py",
    "training/test_odd_data.py",
    "training/test_pull.py",
    "training/test_lattice_fit.py",
    "training/test_objectives.py",
)
"""Files that take a quarter of a minute or longer. They begin first: one that began last would leave a process idle."""

CLASSES = {"gender": ["F", "M"], "age": ["under 30", "30-49", "50+"], "occupation": ["artist", "lawyer", "writer"]}
MERGED = {"age": {"50+": ["50-64", "65+"]}}

MakeBundle = Callable[..., Bundle]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which pytest-xdist hands files to its processes."""
    places = {(Path(__file__).parent / name).resolve(strict=True): place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(LONGEST)))


def make_bundle(
    *,
    users: int = 6,
    items: int = 12,
    dimensions: int = 4,
    attributes: Sequence[str] = ("gender", "age"),
    pairs: Sequence[tuple[str, str]] = (),
    always_protected: Sequence[str] = (),
    supported_masks: SupportedMasks | None = None,
    seen: Mapping[str, Sequence[str]] | None = None,
    item_vectors: np.ndarray | None = None,
    cold: np.ndarray | None = None,
    with_audit: bool = True,
    table: bool = False,
    candidates: int | None = None,
    personal: bool = False,
    name: str = "tiny",
    version: str = "1",
    seed: int = 7,
) -> Bundle:
    """A small AFRL bundle with random weights. Users are "u0", "u1" …, items "i0", "i1" …; nothing seen by default.

    ``pairs`` adds a pair part for each; ``table`` stores finished fair vectors, one per mask of ``supported_masks``;
    ``candidates`` adds a reranker that orders at least so many; ``personal`` adds targets over item groups for each
    user, with tilts for two masks.
    """
    rng = np.random.default_rng(seed)
    d, m = dimensions, len(attributes)
    parts = [Part(name="shared", attributes=[], taken="always")]
    parts += [Part(name=attribute, attributes=[attribute], taken="none_protected") for attribute in attributes]
    parts += [Part(name="_".join(pair), attributes=list(pair), taken="all_protected") for pair in pairs]
    wide = len(parts) * d
    network = Network(kind="afrl", sizes={"split": [d, 2 * d, d], "combine": [wide, wide, d]})
    if table:
        supported_masks = supported_masks or SupportedMasks(kind="list", masks=[[], list(attributes)])
        parts, network = [], Network(kind="table", sizes={"masks": [len(supported_masks.masks), m]})
    description = Description(
        schema_version=SCHEMA_VERSION,
        name=name,
        version=version,
        created=datetime(2026, 1, 1, tzinfo=UTC),
        method="afrl",
        mode="strict",
        base_model="pmf" if candidates is None else "deep",
        dimensions=d,
        attributes=[
            Attribute(name=attribute, classes=CLASSES[attribute], merged=MERGED.get(attribute, {}))
            for attribute in attributes
        ],
        supported_masks=supported_masks or SupportedMasks(kind="all"),
        always_protected=list(always_protected),
        empty_mask="fair",
        scorer="inner" if candidates is None else "rerank",
        reranker=candidates and Reranker(kind="mlp", sizes={"layers": [2 * d, d, 1]}, candidates=candidates),
        encoder=network,
        history=Network(kind="fold_in", sizes={}),
        balance=PersonalTargets(groups=["even", "odd"], depth=5, masks=[[], [attributes[0]]]) if personal else None,
        user_layout="fair" if table else "parts",
        parts=parts,
        seeds={"run": seed},
        user_split_salt="salt",
        data=DataSource(source="tiny", fingerprint="0" * 64, users=users, items=items, interactions=0),
        code_revision="test",
    )
    encoder = build_encoder(description.encoder, d, description.attribute_names, parts)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    reranker = build_reranker(description.reranker, d, items) if description.reranker else None
    if reranker:
        for parameter in reranker.requires_grad_(False).parameters():
            parameter.normal_(0, 1, generator=generator)
    base = rng.normal(size=(users, d)).astype(np.float32)
    vectors = rng.normal(size=(items, d)).astype(np.float32) if item_vectors is None else item_vectors
    rows = [sorted(int(item[1:]) for item in (seen or {}).get(f"u{user}", ())) for user in range(users)]
    indptr = np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)
    indices = np.array([item for row in rows for item in row], np.int32)
    audit = Audit(
        base=base,
        labels=np.array([rng.integers(len(CLASSES[name]), size=users) for name in attributes], np.int16)
        .reshape(m, users)
        .T.copy(),
        validation=np.full(users, -1, np.int32),
        test=np.full(users, -1, np.int32),
        split=(np.arange(users) % 3).astype(np.uint8),
        folded_in=np.zeros(users, np.bool_),
        positive=np.ones(len(indices), np.bool_),
    )
    if isinstance(encoder, TableEncoder):
        encoder.masks.copy_(torch.tensor([description.mask(mask) for mask in description.supported_masks.masks]))
        split = rng.normal(size=(users, len(encoder.masks), d)).astype(np.float32)
    else:
        with torch.no_grad():
            split = encoder.split(torch.from_numpy(base)).numpy()
    return Bundle(
        description=description,
        items=Items(
            ids=tuple(f"i{row}" for row in range(items)),
            titles=tuple(f"Item {row}" for row in range(items)),
            groups=tuple((("even", "odd")[row % 2],) for row in range(items)),
            popularity=np.where(np.zeros(items, np.bool_) if cold is None else cold, 0, np.arange(items)),
            vectors=vectors,
            cold=np.zeros(items, np.bool_) if cold is None else cold,
        ),
        users=Users(ids=tuple(f"u{row}" for row in range(users)), parts=np.ascontiguousarray(split)),
        encoder=encoder,
        history=FoldIn(gram=(vectors.T @ vectors).astype(np.float32), weight=1.0, ridge=0.1, scale=1.0),
        seen=Seen(indptr, indices),
        card={"accuracy": {"by_mask": []}, "leakage": {"by_mask": []}},
        audit=audit if with_audit else None,
        reranker=reranker,
        balance=Tilts(np.array([0.7, 0.3]), np.array([[0.9, -0.9], [0.4, -0.4], [-0.6, 0.6]])) if personal else None,
    )


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """What the service runs on. Of any scope, so that a service may answer all tests of a file."""
    return "asyncio"


@pytest.fixture(scope="session")
def a_bundle() -> MakeBundle:
    """The builder of tiny bundles, in memory."""
    return make_bundle


def make_encoder(kind: str, users: int = 200, d: int = 32) -> tuple[FairEncoder, Users, np.ndarray]:
    """An encoder of any kind with random weights for the attributes of `CLASSES`, its users, their vectors (U, d)."""
    names, rng = list(CLASSES), torch.Generator().manual_seed(5)
    everyone = [Part(name="shared", attributes=[], taken="always")]
    each = [Part(name=name, attributes=[name], taken="none_protected") for name in names]
    complements = [[name for name in names if name != alone] for alone in names]
    all_but = [Part(name="+".join(some), attributes=some, taken="none_protected") for some in complements]
    user = Part(name="user", attributes=names, taken="none_protected")
    parts = {"filters": filter_parts(names), "mask_filters": mask_filter_parts(), "ffvae": ffvae_parts(names)}
    parts |= {"afrl": everyone + each, "table": [], "identity": identity_parts(), "mean_filters": filter_parts(names)}
    parts |= {"lattice": [*everyone, *each, user], "joint_lattice": [*everyone, *each, *all_but, user]}
    parts |= {"dithered_lattice": parts["joint_lattice"], "calibrated": calibrated_parts(names)}
    sizes = {
        "afrl": {"split": [d, 2 * d, d], "combine": [4 * d, 8 * d, 4 * d, d]},
        "ffvae": {"latents": [d, 8, 8, 8], "encode": [d, 2 * d, 2 * d + 48], "decode": [d + 24, 2 * d, d]},
        "joint_lattice": {"coordinates": [2, 1, 3], "leading": [1, 1, 2], "layers": [16, 4, 8, 2]},
        "lattice": {"coordinates": [2, 1, 3], "layers": [16, 4, 8]},
        "calibrated": {"calibrator": [d, 2 * d, d]},
        "table": {"masks": [8, 3]},
        "identity": {},
    }
    sizes["dithered_lattice"] = sizes["joint_lattice"]
    network = Network(kind=kind, sizes=sizes.get(kind, {"filter": [d, 2 * d, d]}))
    encoder = build_encoder(network, d, names, parts[kind]).eval()
    u = torch.randn(users, d, generator=rng)
    with torch.no_grad():
        for name, weight in encoder.state_dict().items():
            if name.endswith(("variance", "spread")):
                weight.uniform_(0.5, 2, generator=rng)
            elif name != "masks":
                weight.normal_(0, 0.3, generator=rng)
            if name.endswith(("knots", "levels", "centres")):
                weight.copy_(weight.sort().values)
        if isinstance(encoder, TableEncoder):
            encoder.masks.copy_(torch.tensor([[bool(n >> bit & 1) for bit in range(3)] for n in range(8)]))
            split = torch.randn(users, 8, d, generator=rng)
        else:
            split = encoder.split(u).contiguous()
    return encoder, Users(tuple(f"u{row}" for row in range(users)), split.numpy()), u.numpy()


@pytest.fixture(scope="session", params=sorted(KINDS))
def an_encoder(request: pytest.FixtureRequest) -> tuple[FairEncoder, Users, np.ndarray]:
    """One of every kind, its users, and their user vectors."""
    return make_encoder(request.param)


@pytest.fixture(scope="module")
def a_quick_card() -> Iterator[None]:
    """Runs in this file's process make their card with one attacker: most of a short run's time is the card's."""
    from measure.profiles import Profile
    from training.card import make_card

    look = Profile("look", ("logistic",), 2, 1, 1, 20, 20, fit_rows=300, verdict=False, protected_only=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.run.make_card", lambda bundle, *_: make_card(bundle, look))
        yield


@pytest.fixture(scope="module")
def short_teachers() -> Iterator[None]:
    """Lattices of this file and its forks learn next to nothing of labels: a small fit's time is mostly teachers'."""
    with pytest.MonkeyPatch.context() as patch:
        for name, number in nursery.SHORT_TEACHERS.items():
            patch.setattr(f"training.fair.lattice.scores.{name}", number)
        patch.setenv(nursery.ASKED_SHORT, "yes")
        yield


@pytest.fixture
def preloaded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Processes that the test starts have imported everything before they begin, and so have those they start.

    Not where the test is marked `real_processes`.
    """
    with nullcontext() if request.node.get_closest_marker("real_processes") else nursery.preloaded():
        yield


@pytest.fixture
def resident() -> Callable[[Path], int]:
    """Bytes of a file that this process has mapped and touched; Linux alone says so."""
    maps = Path("/proc/self/smaps")
    if not maps.exists():
        pytest.skip("nothing here says what is resident")

    def count(path: Path) -> int:
        found, inside = 0, False
        for line in maps.read_text().splitlines():
            if "-" in line.split(" ")[0]:
                inside = line.endswith(str(path))
            elif inside and line.startswith("Rss:"):
                found += int(line.split()[1]) * 1024
        return found

    return count


@pytest.fixture(scope="session")
def a_written_bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes tiny bundles to a folder, as copies of one where they are alike: that takes a twentieth of the time.

    Not where they have more users: then pages of files may be what is looked at.
    """
    home, written = tmp_path_factory.mktemp("written"), dict[str, Path]()

    def write(out: Path, **options: object) -> Path:
        if "users" in options or any(isinstance(each, np.ndarray) for each in options.values()):
            return write_bundle(make_bundle(**options), out)  # type: ignore[arg-type]
        alike = repr(sorted(options.items()))
        if alike not in written:
            written[alike] = write_bundle(make_bundle(**options), home / f"{len(written)}")  # type: ignore[arg-type]
        first = written[alike]
        return shutil.copytree(first, out / first.parent.name / first.name, copy_function=shutil.copyfile)

    return write


@pytest.fixture
def a_bundle_folder(tmp_path: Path, a_written_bundle: Callable[..., Path]) -> Callable[..., Path]:
    """The builder of tiny bundles, written to a folder of the test's own."""
    return lambda **options: a_written_bundle(tmp_path / "bundles", **options)
