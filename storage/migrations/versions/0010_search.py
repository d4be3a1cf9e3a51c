"""film.accession_reversed and the indexes by which jobs are found and paged"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    reversed_type = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
    op.add_column("film", sa.Column("accession_reversed", reversed_type, nullable=False, server_default=""))
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        driver.create_function("reverse", 1, lambda text: text[::-1], deterministic=True)
    op.execute("UPDATE film SET accession_reversed = reverse(accession_number)")
    op.create_index(op.f("ix_film_accession_reversed"), "film", ["accession_reversed"], unique=False)
    passed = sa.text("state <> 'QUEUED'")
    op.create_index(
        op.f("ix_film_state_id"), "film", ["state", "id"], unique=False,
        postgresql_where=passed, sqlite_where=passed,
    )  # fmt: skip
    op.create_index(
        op.f("ix_film_calling_ae_title_state_id"), "film", ["calling_ae_title", "state", "id"], unique=False
    )
    op.create_index(op.f("ix_film_calling_ae_title_id"), "film", ["calling_ae_title", "id"], unique=False)
    op.create_index(
        op.f("ix_delivery_destination_film_id"), "delivery", ["destination", "film_id"], unique=False
    )
    failed = sa.text("state = 'FAILED'")
    op.create_index(
        "ix_delivery_failed", "delivery", ["film_id"], unique=False,
        postgresql_where=failed, sqlite_where=failed,
    )  # fmt: skip


def downgrade() -> None:
    op.drop_index("ix_delivery_failed", table_name="delivery")
    op.drop_index(op.f("ix_delivery_destination_film_id"), table_name="delivery")
    op.drop_index(op.f("ix_film_calling_ae_title_id"), table_name="film")
    op.drop_index(op.f("ix_film_calling_ae_title_state_id"), table_name="film")
    op.drop_index(op.f("ix_film_state_id"), table_name="film")
    op.drop_index(op.f("ix_film_accession_reversed"), table_name="film")
    op.drop_column("film", "accession_reversed")
