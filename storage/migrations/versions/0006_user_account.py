"""user_account and user_session: who may use the console, and who does"""

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "user_account",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("token_digest", sa.String(64), nullable=True),
        sa.Column("created_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("changed_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("login_at", UtcDateTime(timezone=True), nullable=True),
        sa.CheckConstraint("role IN ('viewer', 'reader', 'admin')", name=op.f("ck_user_account_role_known")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_user_account")),
        sa.UniqueConstraint("token_digest", name=op.f("uq_user_account_token_digest")),
    )
    op.create_table(
        "user_session",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("user_name", sa.String(64), nullable=False),
        sa.Column("role", sa.String(8), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("opened_at", UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", UtcDateTime(timezone=True), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'reader', 'admin')", name=op.f("ck_user_session_role_known")),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_user_session")),
    )
    op.create_index(op.f("ix_user_session_user_name"), "user_session", ["user_name"], unique=False)


def downgrade() -> None:
    op.drop_table("user_session")
    op.drop_table("user_account")
