"""What a configuration may say about data: one frozen model per reader."""

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    model_validator,
)

from training.data.csv_form import TEXT_ENDINGS, CsvForm
from training.data.dataset import NAME_ALLOWED, can_name
from training.data.text_blocks import unpacked_name

AGE_EDGES = (18.0, 25.0, 35.0, 45.0, 50.0, 56.0)
"""Where MovieLens-1M cuts ages; the default for both MovieLens sets and for generated data."""


MISSING = ("", "NULL", "null", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "None", "\\N")
"""What other programs write where they know nothing."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AttributeConfig(_Frozen):
    """Where an attribute is read, and how its values become classes."""

    column: str | None = None
    """Column of the users table; the attribute's own name where absent."""

    edges: tuple[FiniteFloat, ...] = ()
    """Ascending numbers that cut a numeric column into classes: [18, 25] gives 'under 18', '18-24', '25+'."""

    counts: Literal["interactions"] | None = None
    """In place of a column: how many interactions a user has, where nothing else is known of users."""

    @model_validator(mode="after")
    def _counts_are_cut(self) -> Self:
        if self.counts and (self.column is not None or not self.edges):
            raise ValueError("an attribute that counts needs edges and has no column")
        return self

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if any(low >= high for low, high in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"edges must be strictly ascending, got {list(self.edges)}")
        return self


class GeneratedAttribute(_Frozen):
    """An attribute of generated users."""

    classes: tuple[str, ...] = Field(min_length=2)

    shares: tuple[PositiveFloat, ...] = ()
    """How common each class is, up to a factor; equal where absent."""

    strength: NonNegativeFloat = 1.0
    """Size of the attribute's effect on taste; personal taste has size 1."""

    follows: str | None = None
    """An attribute named earlier whose class this one is correlated with."""

    unknown: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of users whose label is not known."""

    @model_validator(mode="after")
    def _one_share_per_class(self) -> Self:
        if self.shares and len(self.shares) != len(self.classes):
            raise ValueError(f"{len(self.classes)} classes need as many shares, got {len(self.shares)}")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError(f"a class is named twice in {list(self.classes)}")
        return self


def _names_alone(value: object) -> object:
    """Let `attributes = ["gender", "age"]` stand for tables without options."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        if len(set(value)) != len(value):
            raise ValueError(f"an attribute is named twice in {list(value)}")
        return {name: {} for name in value}
    return value


def _attribute_name(name: str) -> str:
    if not can_name(name):
        raise ValueError(f"{name!r} cannot name an attribute; allowed: {NAME_ALLOWED}")
    return name


AttributeName = Annotated[str, AfterValidator(_attribute_name)]
Attributes = Annotated[dict[AttributeName, AttributeConfig], BeforeValidator(_names_alone)]
"""None at all where nothing is known of users: such data can be read and described, and not be trained on."""


class HeldOutShares(_Frozen):
    """How much of each user's positives is held out, drawn at random; at least one for each, and one to train on."""

    validation: float = Field(default=0.1, gt=0, le=0.4)

    test: float = Field(default=0.2, gt=0, le=0.4)


class _Common(_Frozen):
    positive_at_least: FiniteFloat | None = None
    """Rating from which an interaction is a positive; absent: every interaction is one."""

    min_positives: PositiveInt = 1
    """Users with fewer positives are left out."""

    only_groups: tuple[str, ...] = ()
    """Items in exactly one of these groups are kept, and are then in that one alone; absent: all items."""

    core: PositiveInt = 1
    """Users and items with fewer positives are left out, in turns, until all have as many."""

    held_out: HeldOutShares | None = None
    """Absent: the last positive of a user tests, the one before it validates."""

    @model_validator(mode="after")
    def _each_group_once(self) -> Self:
        if len(set(self.only_groups)) != len(self.only_groups):
            raise ValueError(f"only_groups names a group twice in {list(self.only_groups)}")
        return self


class _FromFiles(_Common):
    missing: tuple[str, ...] = MISSING
    """What a cell of the users or items says where nothing is known; a blank one always does."""

    unknown_users: Literal["refuse", "drop"] = "refuse"
    """What happens to interactions of somebody who has no row in the users table; `drop` leaves them out."""


def _movielens_attributes(attributes: dict[str, AttributeConfig]) -> dict[str, AttributeConfig]:
    """Cut ages where MovieLens-1M does, unless told otherwise: -100K has them raw."""
    return {
        name: AttributeConfig(column=attribute.column, edges=AGE_EDGES)
        if (attribute.column or name) == "age" and not (attribute.edges or attribute.counts)
        else attribute
        for name, attribute in attributes.items()
    }


class MovieLensConfig(_FromFiles):
    """MovieLens in its original files; which set is seen from the files."""

    reader: Literal["movielens"] = "movielens"
    positive_at_least: FiniteFloat | None = 4.0
    min_positives: PositiveInt = 10

    attributes: Annotated[Attributes, AfterValidator(_movielens_attributes)] = Field(
        default_factory=lambda: {"gender": {}, "age": {}, "occupation": {}}, validate_default=True
    )
    """Any of gender, age, occupation, in the order wanted; sets without users have none of them."""


def _table_file(name: str) -> str:
    if not name.lower().endswith(".parquet") and not unpacked_name(name).endswith(TEXT_ENDINGS):
        allowed = ", ".join(TEXT_ENDINGS)
        raise ValueError(f"{name!r} must end in .parquet, or in {allowed}, with or without .gz or .zst")
    return name


TableFile = Annotated[str, AfterValidator(_table_file)]


class InteractionsTable(_Frozen):
    """One row per interaction."""

    file: TableFile | None = None
    """Absent: interactions.csv or .parquet, .tsv, .csv.gz … A file that does not end in .parquet is read as CSV."""

    csv: CsvForm | None = None
    """Absent: `csv` of the whole."""

    user: str = "user"
    item: str = "item"

    rating: str | None = None
    """Absent: the column 'rating' where there is one. Read where `positive_at_least` asks for it."""

    timestamp: str | None = None
    """Numbers, or ISO 8601 (in UTC where no zone is given). Absent: the column 'timestamp' where there is one, else the
    order of the file is the order in time."""


class UsersTable(_Frozen):
    """One row per user: the id and the attributes."""

    file: TableFile | None = None
    """Absent: users.csv or another of the same endings."""

    csv: CsvForm | None = None
    """Absent: `csv` of the whole."""

    user: str = "user"


class ItemsTable(_Frozen):
    """One row per item; the whole table may be missing."""

    file: TableFile | None = None
    """Absent: items.csv or another of the same endings, where there is one."""

    csv: CsvForm | None = None
    """Absent: `csv` of the whole."""

    item: str = "item"

    title: str | None = None
    """Absent: the column 'title' where there is one."""

    groups: str | None = None
    """Absent: the column 'groups' where there is one."""

    separator: str = Field(default="|", min_length=1)
    """What stands between two groups, where they are text."""


class TablesConfig(_FromFiles):
    """Any dataset as three tables in CSV or Parquet."""

    reader: Literal["tables"] = "tables"
    attributes: Attributes | None = None
    """Absent: every column of the users table but the id."""

    csv: CsvForm = CsvForm()
    """How the text of all three is written."""

    interactions: InteractionsTable = InteractionsTable()
    users: UsersTable = UsersTable()
    items: ItemsTable = ItemsTable()


def _generated_attributes() -> dict[str, GeneratedAttribute]:
    ages = ("under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+")
    jobs = ("student", "service", "trade", "technical", "creative", "clerical", "managerial", "retired")
    return {
        "gender": GeneratedAttribute(classes=("F", "M"), shares=(0.35, 0.65), strength=0.28),
        "age": GeneratedAttribute(classes=ages, shares=(0.05, 0.18, 0.33, 0.19, 0.09, 0.09, 0.07), strength=1.0),
        "occupation": GeneratedAttribute(classes=jobs, strength=0.1, follows="age"),
    }


class GeneratedConfig(_Common):
    """Synthetic users whose taste is mostly personal and partly planted by their attributes."""

    reader: Literal["generated"] = "generated"
    positive_at_least: FiniteFloat | None = 4.0
    min_positives: PositiveInt = 3
    users: int = Field(default=3000, ge=2, le=10_000_000)
    items: int = Field(default=500, ge=2, le=1_000_000)

    interactions_per_user: int = Field(default=60, ge=1)
    """Mean over users; at most half of the items."""

    popularity_skew: NonNegativeFloat = 0.7
    """How unequal items are before taste is looked at; 0 makes them equal."""

    pickiness: NonNegativeFloat = 1.5
    """How much taste decides, next to popularity and chance, what a user meets. With few interactions a user and no
    more than this, a list of what is popular is hardly worse than any model's."""

    seed: int = Field(default=2020, ge=0)
    attributes: dict[AttributeName, GeneratedAttribute] = Field(default_factory=_generated_attributes, min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if 2 * self.interactions_per_user > self.items:
            raise ValueError(
                f"interactions_per_user is at most half of the {self.items} items, got {self.interactions_per_user}"
            )
        known: list[str] = []
        for name, attribute in self.attributes.items():
            if attribute.follows is not None and attribute.follows not in known:
                raise ValueError(f"{name} follows {attribute.follows!r}, which is not named before it")
            known.append(name)
        return self


class AutoConfig(_FromFiles):
    """Looks at the folder: MovieLens, tables, or none, which gives generated data. `data check` prints what it finds.

    What is set here goes to the reader found; the rest is guessed, or that reader's own default.
    """

    reader: Literal["auto"] = "auto"
    attributes: Attributes | None = None
    csv: CsvForm | None = None
    interactions: InteractionsTable | None = None
    users: UsersTable | None = None
    items: ItemsTable | None = None


DataConfig = Annotated[
    AutoConfig | MovieLensConfig | TablesConfig | GeneratedConfig,
    Field(discriminator="reader"),
]
DATA_CONFIG: TypeAdapter[DataConfig] = TypeAdapter(DataConfig)
"""Validates a `[data]` table on its own: `DATA_CONFIG.validate_python(mapping)`."""
