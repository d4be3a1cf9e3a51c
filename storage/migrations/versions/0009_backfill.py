"""film.retrospective, after live films in the order of claims; what backfills asked the archive for"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_CLAIMS = "ix_film_state_retrospective_attempts_id"
_CLAIMS_BEFORE = "ix_film_state_attempts_id"


def upgrade() -> None:
    op.add_column("film", sa.Column("retrospective", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_index(op.f(_CLAIMS), "film", ["state", "retrospective", "attempts", "id"], unique=False)
    op.drop_index(op.f(_CLAIMS_BEFORE), table_name="film")
    op.create_table(
        "backfill",
        sa.Column("id", _ID, nullable=False),
        sa.Column("archive", sa.String(length=16), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("modalities", sa.String(length=80), nullable=False),
        sa.Column("claimed_by", sa.String(length=80), nullable=True),
        sa.Column("claimed_until", UtcDateTime(timezone=True), nullable=True),
        sa.Column("started_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "backfill_day",
        sa.Column("backfill_id", _ID, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("named_at", UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["backfill_id"], ["backfill.id"], name=op.f("fk_backfill_day_backfill_id")),
        sa.PrimaryKeyConstraint("backfill_id", "day", name=op.f("pk_backfill_day")),
    )
    op.create_table(
        "backfill_instance",
        sa.Column("id", _ID, nullable=False),
        sa.Column("backfill_id", _ID, nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("series_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=9), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('FOUND', 'ASKED', 'ARRIVED', 'KNOWN', 'FAILED')",
            name=op.f("ck_backfill_instance_state_known"),
        ),
        sa.ForeignKeyConstraint(
            ["backfill_id"], ["backfill.id"], name=op.f("fk_backfill_instance_backfill_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backfill_instance")),
        sa.UniqueConstraint(
            "backfill_id", "sop_instance_uid", name=op.f("uq_backfill_instance_backfill_id_sop_instance_uid")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_backfill_instance_backfill_id_state_id"),
        "backfill_instance",
        ["backfill_id", "state", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_backfill_instance_sop_instance_uid"), "backfill_instance", ["sop_instance_uid"], unique=False
    )


def downgrade() -> None:
    op.drop_table("backfill_instance")
    op.drop_table("backfill_day")
    op.drop_table("backfill")
    op.create_index(op.f(_CLAIMS_BEFORE), "film", ["state", "attempts", "id"], unique=False)
    op.drop_index(op.f(_CLAIMS), table_name="film")
    op.drop_column("film", "retrospective")
