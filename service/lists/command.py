"""`python -m service lists BUNDLE`: refuse what cannot be, open what is needed, make the lists, write the file."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from bundle import BundleError, Texts
from bundle.files import read_manifest
from bundle.read import version_folder
from service.balance import AskedBalance, resolve_balance
from service.errors import BalanceRevealsError, StartError, UnsupportedRequirementError
from service.lists.files import check_name, whole_file
from service.lists.maker import ListMaker
from service.lists.parts import Parts
from service.lists.people import ALL, digest, read_people
from service.lists.reranking import RerankAsked, Reranker, check_options, check_users, check_withheld
from service.lists.run import Run
from service.lists.second_stage import rerank
from service.lists.share import ShareRule, whom
from service.lists.stored import Stored, database_to_use, open_stored
from service.model.active import ServedModel
from service.model.loaded import Model, load_model
from service.recommend.queries import Fallback, UserQuery
from service.requirement import Policy, check_policy, operator_policy, resolve
from service.secret import derive_key
from service.settings import Settings

BROKEN_OFF = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for; as parameters of a request, but for the last ones."""

    sensitive: tuple[str, ...] | None
    k: int
    exclude_seen: bool
    group: tuple[str, ...]
    fallback: Fallback | None
    balance: AskedBalance | None = None
    balance_weight: float | None = None
    users: str
    """`ALL`, or a file that names them."""
    out: Path
    database: str | None = None
    """See `database_to_use`."""
    log: bool = False
    share: ShareRule | None = None
    """Whose lists are made while two versions answer; see `whom`."""
    rerank: RerankAsked | None = None
    """A re-ranker of all lists at once; None for lists as requests get them."""
    threads: int | None = None
    """None for as many as there are cores; for one where a GPU or another machine searches."""

    @property
    def options(self) -> dict[str, object]:
        """The parameters of every request."""
        names = ("sensitive", "k", "exclude_seen", "group", "fallback", "balance", "balance_weight")
        return {name: getattr(self, name) for name in names} | ({"balance": "none"} if self.rerank else {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the command ended, and what it has to say."""

    status: int
    lines: tuple[str, ...]


def make_lists(settings: Settings, asked: Asked) -> Outcome:
    """Make the lists of many users and write them to one file, over an older one, whole or not at all.

    Args:
        settings: those of the service; ``bundle`` is the version that is taken.
        asked: the command line.

    Raises:
        StartError: something cannot be; one line, before any list is made where that can be known.
        ServiceError: the database is lost, or keeps changing.
    """
    started = time.perf_counter()
    policy = operator_policy(settings)
    if not 1 <= asked.k <= settings.max_k:
        raise StartError(f"--k is {asked.k}; it can be 1 to {settings.max_k} (EVENHAND_MAX_K)")
    if asked.rerank is not None:
        check_options(asked.rerank, asked.k)
        if asked.balance not in (None, "none") or asked.balance_weight is not None:
            raise StartError("--rerank and --balance both say how lists are ordered: give one of them")
    check_name(asked.out)
    named = None if asked.users == ALL else read_people(Path(asked.users))
    with ExitStack() as stack, _refusals(asked):
        folder, content_hash = _checked(settings.bundle, policy, asked)
        database = database_to_use(asked.database, settings)
        secret = None if settings.pseudonym_secret is None else settings.pseudonym_secret.get_secret_value()
        if database is None and asked.share == "follow":
            raise StartError("--share follow needs the database that says which versions answer: give --database URL")
        stored = stack.enter_context(closing(open_stored(database, secret, log=asked.log)))
        answered = whom(content_hash, stored.known.arms, _share_secret(settings), asked.share)
        url = None if settings.milvus_url is None else settings.milvus_url.get_secret_value()
        model = load_model(folder, settings.device, settings.index, milvus_url=url)
        served = ServedModel(model, stored.register(model), policy)
        ask = partial(UserQuery, **asked.options)  # type: ignore[arg-type]
        threads = asked.threads or (len(os.sched_getaffinity(0)) if model.index.device == "cpu" else 1)
        maker = stack.enter_context(closing(ListMaker(served, ask, stored.known, threads)))
        reranker = None if asked.rerank is None else Reranker(asked.rerank, served, asked.k)
        everybody = model.bundle.users.ids if named is None else named
        people = everybody if answered is None else [user for user in everybody if answered(user)]
        _check_named(named or (), stored, served, maker, asked)
        _check_stored(None if people is model.bundle.users.ids else frozenset(people), stored, served, asked)
        parts = stack.enter_context(closing(Parts(asked.out, _facts(model, policy, people, database, asked))))
        run = first = Run(people, maker, stored, parts)
        if reranker is not None:
            more = partial(ask, k=reranker.candidates)
            wide = stack.enter_context(closing(ListMaker(served, more, stored.known, threads, scored=True)))
            first = Run(people, wide, stored, parts.inside("candidates"))
        gc.freeze()  # full collections would walk through all that is loaded by now, and it stays
        stack.callback(gc.unfreeze)
        there = first.made
        try:
            with _bar("lists", people, there) as shown:
                first.make(shown.update)
            if reranker is not None and asked.rerank is not None and run.made < len(people):  # all of it, or nothing
                with _bar(asked.rerank.kind, people) as shown:
                    rerank(first, run, asked.rerank, reranker, shown.update)
            facts = {"name": model.name, "version": model.version, "content_hash": model.content_hash}
            with (
                _bar("file", people) as shown,
                whole_file(asked.out, Texts.of(model.bundle.items.ids).array, facts) as file,
            ):
                count = run.finish(file, shown.update, log=asked.log)
        except KeyboardInterrupt:
            return Outcome(BROKEN_OFF, (f"broken off; the same command goes on from {parts.folder}",))
        parts.remove()
    lines = [*_summary(asked, database, people, count, there, time.perf_counter() - started)]
    if others := len(everybody) - len(people):
        lines.append(f"- users whom another version answers, and who are not in the file: {others:,}")
    if asked.rerank is not None and run.again:
        lines.append(f"- not re-ranked, as a change has overtaken them, but as a request gets them: {run.again:,}")
    return Outcome(0, tuple(lines))


def _checked(bundle: Path, policy: Policy, asked: Asked) -> tuple[Path, str]:
    """Folder and content hash of the version, whose manifest allows what is asked."""
    try:
        folder = version_folder(bundle)
        manifest = read_manifest(folder)
    except BundleError as error:
        raise StartError(f"bundle {bundle} is refused: {error}") from error
    check_policy(manifest, policy)
    check_users(asked.rerank, manifest)
    requirement = resolve(manifest, policy, asked.sensitive)
    balance = policy.balance.over(personal=manifest.balance is not None)
    resolve_balance(balance, asked.balance, asked.balance_weight, requirement.sources)
    check_withheld(asked.rerank, requirement.sources)
    return folder, manifest.content_hash


def _check_named(named: Sequence[str], stored: Stored, served: ServedModel, maker: ListMaker, asked: Asked) -> None:
    """Refuse groups and users that a request would be refused for."""
    model, known = served.model, stored.known
    row = model.bundle.users.row
    for group in asked.group:
        if not model.item_lookup.has(group):
            raise StartError(f"--group: no item is in group {group!r:.80}")
    for line, user in enumerate(named, 1):
        if user not in row and not known.user(user).suppressed and maker.plan(user) is None:
            raise StartError(f"--users {asked.users}, line {line}: no user {user!r:.80} in this bundle")


def _check_stored(people: frozenset[str] | None, stored: Stored, served: ServedModel, asked: Asked) -> None:
    """Refuse stored requirements of some users that cannot be met; None: of all users of the bundle."""
    wanted = served.model.bundle.users.row if people is None else people
    unmet = []
    for user, state in stored.known.users():
        if state.requirement and user in wanted:
            try:
                resolved = served.resolve(asked.sensitive, state.requirement)
                served.balance(asked.balance, asked.balance_weight, resolved.requirement)
                check_withheld(asked.rerank, resolved.requirement.sources)
            except (UnsupportedRequirementError, BalanceRevealsError) as error:
                unmet.append(f"user {user!r:.80}: {error}")
    if unmet:
        raise StartError(f"{len(unmet)} stored requirements of users cannot be met; {unmet[0]}")


def _share_secret(settings: Settings) -> bytes | None:
    return derive_key(None if settings.secret is None else settings.secret.get_secret_value(), "share")


def _facts(
    model: Model, policy: Policy, people: Sequence[str], database: str | None, asked: Asked
) -> dict[str, object]:
    """All that the lists depend on but the stored state."""
    return {
        **asked.options,
        **({} if asked.rerank is None else asked.rerank.facts),
        "bundle": f"{model.name}/{model.version} {model.content_hash}",
        "policy": [policy.default, policy.required, policy.pinned],
        "balance_policy": [policy.balance.default, policy.balance.weight, policy.balance.digest],
        "index": [model.index_report.kind, model.index_report.exact],
        "users": digest(people),
        "database": None if database is None else digest([database]),
        "log": asked.log,
    }


def _summary(
    asked: Asked, database: str | None, people: Sequence[str], count: int, there: int, took_s: float
) -> Iterator[str]:
    yield f"{asked.out}: {count:,} lists of up to {asked.k} items in {took_s:.1f} s"
    if there:
        yield f"- {there:,} of {len(people):,} users were done before this run went on"
    if without := len(people) - count:
        yield f"- users without a list, as they are erased or their vectors are not finite: {without:,}"
    if database is None:
        yield "- without a database: stored requirements, posted interactions, hidden items and erasures are not known"
    if asked.log:
        yield "- all are in the request log as shown"


def _bar(what: str, people: Sequence[str], done: int = 0) -> tqdm:
    """A progress bar on a terminal; nothing where there is none."""
    return tqdm(total=len(people), initial=done, desc=what, unit=" users", disable=None)


@contextmanager
def _refusals(asked: Asked) -> Iterator[None]:
    """What the system refuses, as the command line prints it."""
    try:
        yield
    except OSError as error:
        raise StartError(f"{error.filename or asked.out} cannot be written: {error.strerror}") from error
