"""Data that outlive the process: the request log, requirements, interactions, hidden items, keys, models, audit runs.

The only place that knows SQL. `Store` is the way in; the functions beside it are what `Store.change` and `Store.read`
take.
"""

from service.store.backup import back_up, restore
from service.store.counts import (
    BalanceCount,
    LogColumns,
    RequirementCount,
    count_balances,
    count_requirements,
    log_columns,
    log_span,
)
from service.store.database import Database, Transaction, now_us
from service.store.errors import (
    IdempotencyConflictError,
    KeyNameTakenError,
    RunConflictError,
    StoreStartError,
    StoreUnavailableError,
    UnstorableError,
)
from service.store.export import Exported, export
from service.store.items import hide_item
from service.store.keys import create_key, find_key, list_keys, retire_key, revoke_key
from service.store.lock import ProcessLock
from service.store.log import LogFilter, LogRow, log_page, logged_ids
from service.store.migration import check_schema, migrate
from service.store.models import activate_model, end_share, list_models, register_model, share_model
from service.store.pseudonym import Pseudonyms
from service.store.record import LoggedBalance, LoggedProtection, LogRecord, Purpose
from service.store.retention import prune_idempotency
from service.store.runs import (
    Run,
    cancel_run,
    claim_run,
    create_run,
    delete_run,
    fail_lost_runs,
    find_work,
    finish_run,
    get_run,
    list_runs,
    report_run,
    requeue_run,
)
from service.store.state_cache import (
    UNRECORDED,
    HiddenItems,
    Key,
    StateCache,
    StoredArms,
    StoredModel,
    UserState,
    arms_of,
    learn,
)
from service.store.store import Store
from service.store.users import (
    Erased,
    Idempotency,
    Interaction,
    Taken,
    UserData,
    add_interactions,
    erase_user,
    forget_idempotency,
    forget_interactions,
    interactions_page,
    lift_erasure,
    put_requirement,
    stored_requirement,
    user_data,
)

__all__ = [
    "UNRECORDED",
    "BalanceCount",
    "Database",
    "Erased",
    "Exported",
    "HiddenItems",
    "Idempotency",
    "IdempotencyConflictError",
    "Interaction",
    "Key",
    "KeyNameTakenError",
    "LogColumns",
    "LogFilter",
    "LogRecord",
    "LogRow",
    "LoggedBalance",
    "LoggedProtection",
    "ProcessLock",
    "Pseudonyms",
    "Purpose",
    "RequirementCount",
    "Run",
    "RunConflictError",
    "StateCache",
    "Store",
    "StoreStartError",
    "StoreUnavailableError",
    "StoredArms",
    "StoredModel",
    "Taken",
    "Transaction",
    "UnstorableError",
    "UserData",
    "UserState",
    "activate_model",
    "add_interactions",
    "arms_of",
    "back_up",
    "cancel_run",
    "check_schema",
    "claim_run",
    "count_balances",
    "count_requirements",
    "create_key",
    "create_run",
    "delete_run",
    "end_share",
    "erase_user",
    "export",
    "fail_lost_runs",
    "find_key",
    "find_work",
    "finish_run",
    "forget_idempotency",
    "forget_interactions",
    "get_run",
    "hide_item",
    "interactions_page",
    "learn",
    "lift_erasure",
    "list_keys",
    "list_models",
    "list_runs",
    "log_columns",
    "log_page",
    "log_span",
    "logged_ids",
    "migrate",
    "now_us",
    "prune_idempotency",
    "put_requirement",
    "register_model",
    "report_run",
    "requeue_run",
    "restore",
    "retire_key",
    "revoke_key",
    "share_model",
    "stored_requirement",
    "user_data",
]
