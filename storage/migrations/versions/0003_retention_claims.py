"""film.files_removed_at, heartbeat.note, an index for claims of films that came back"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("film", sa.Column("files_removed_at", UtcDateTime(timezone=True), nullable=True))
    op.add_column("heartbeat", sa.Column("note", sa.Text(), server_default="", nullable=False))
    op.drop_index("ix_film_state_id", table_name="film")
    op.create_index(op.f("ix_film_state_attempts_id"), "film", ["state", "attempts", "id"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_film_state_attempts_id"), table_name="film")
    op.create_index("ix_film_state_id", "film", ["state", "id"], unique=False)
    op.drop_column("heartbeat", "note")
    op.drop_column("film", "files_removed_at")
