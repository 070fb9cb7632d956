"""What a configuration may say about data: one frozen model per reader."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, FiniteFloat, TypeAdapter

from training.data.common_config import AttributeConfig, Attributes, CommonConfig, Count
from training.data.csv_form import TEXT_ENDINGS, CsvForm
from training.data.frozen import Frozen
from training.data.generated_config import GeneratedConfig
from training.data.text_blocks import unpacked_name

AGE_EDGES = (18.0, 25.0, 35.0, 45.0, 50.0, 56.0)
"""Where MovieLens-1M cuts ages; the default for both MovieLens sets and for generated data."""

MISSING = ("", "NULL", "null", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "None", "\\N")
"""What other programs write where they know nothing."""


class _FromFiles(CommonConfig):
    missing: tuple[str, ...] = MISSING
    """What a cell of the users or items says where nothing is known; a blank one always does."""

    unknown_users: Literal["refuse", "drop"] = "refuse"
    """What happens to interactions of somebody who has no row in the users table; `drop` leaves them out."""


def _movielens_attributes(attributes: dict[str, AttributeConfig]) -> dict[str, AttributeConfig]:
    """Cut ages where MovieLens-1M does, unless told otherwise: -100K has them raw."""
    return {
        name: AttributeConfig.model_validate(attribute.model_dump(exclude_unset=True) | {"edges": AGE_EDGES})
        if (attribute.column or name) == "age"
        and not (attribute.edges or attribute.counts)
        and attribute.ordered is None
        else attribute
        for name, attribute in attributes.items()
    }


class MovieLensConfig(_FromFiles):
    """MovieLens in its original files; which set is seen from the files."""

    reader: Literal["movielens"] = "movielens"
    positive_at_least: FiniteFloat | None = 4.0
    min_positives: Count = 10

    attributes: Annotated[Attributes, AfterValidator(_movielens_attributes)] = Field(
        default_factory=lambda: {"gender": {}, "age": {}, "occupation": {}}, validate_default=True
    )
    """Any of gender, age, occupation, in the order wanted; sets without users have none of them."""

    extras: str | None = None
    """Folder, from that of the data on, with plots and audio of MovieLens-1M: `movies_extrainfos.dat` gives modalities
    the text `plot`, `neo-mmlgcn/audio_items.npy` with `item_map.tsv` is the modality `audio`."""


def _table_file(name: str) -> str:
    if not name.lower().endswith(".parquet") and not unpacked_name(name).endswith(TEXT_ENDINGS):
        allowed = ", ".join(TEXT_ENDINGS)
        raise ValueError(f"{name!r} must end in .parquet, or in {allowed}, with or without .gz or .zst")
    return name


TableFile = Annotated[str, AfterValidator(_table_file)]


class InteractionsTable(Frozen):
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


class UsersTable(Frozen):
    """One row per user: the id and the attributes."""

    file: TableFile | None = None
    """Absent: users.csv or another of the same endings."""

    csv: CsvForm | None = None
    """Absent: `csv` of the whole."""

    user: str = "user"


class ItemsTable(Frozen):
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
