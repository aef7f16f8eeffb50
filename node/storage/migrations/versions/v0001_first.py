"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "answer",
        sa.Column("key", sa.LargeBinary(), primary_key=True),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "channel",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("wrapper", sa.Text(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("reader", sa.Text(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("wrapper", "id"),
    )
    op.create_index("channel_pair", "channel", ["wrapper", "reader"])
    op.create_table(
        "checkpoint",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("size", sa.Integer(), primary_key=True),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cosignature",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("member", sa.Text(), primary_key=True),
        sa.Column("size", sa.Integer(), primary_key=True),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "document",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("owner", sa.Text(), primary_key=True),
        sa.Column("version", sa.Integer(), primary_key=True),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry",
        sa.Column("key", sa.Integer(), primary_key=True),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "evidence",
        sa.Column("kind", sa.Text(), primary_key=True),
        sa.Column("member", sa.Text(), primary_key=True),
        sa.Column("log", sa.Text(), primary_key=True),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("found_ms", sa.Integer(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "gap",
        sa.Column("key", sa.Integer(), primary_key=True),
        sa.Column("reason", sa.Text(), nullable=False),
    )
    op.create_table(
        "log",
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("origin", sa.Text(), nullable=False, unique=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("last_leaf", sa.LargeBinary(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(), nullable=True),
        sa.Column("repeat_first", sa.Integer(), nullable=True),
        sa.Column("repeat_second", sa.Integer(), nullable=True),
        sa.Column("checkpoint_size", sa.Integer(), nullable=False),
        sa.Column("bodies_size", sa.Integer(), nullable=False),
        sa.Column("frozen", sa.Text(), nullable=True),
        sa.Column("no_cosign_from", sa.Integer(), nullable=True),
    )
    op.create_table(
        "meta",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "node",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("level", sa.Integer(), primary_key=True),
        sa.Column("index", sa.Integer(), primary_key=True),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record_id",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("id", sa.LargeBinary(), primary_key=True),
        sa.Column("index", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "sidecar",
        sa.Column("key", sa.Integer(), primary_key=True),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "slot",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("slot", sa.LargeBinary(), primary_key=True),
        sa.Column("index", sa.Integer(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "statement",
        sa.Column("key", sa.Integer(), primary_key=True),
        sa.Column("type", sa.Text(), nullable=False),
    )
    op.create_table(
        "target",
        sa.Column("log", sa.Integer(), primary_key=True),
        sa.Column("size", sa.Integer(), primary_key=True),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "token",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_ms", sa.Integer(), nullable=False),
        sa.Column("revoked_ms", sa.Integer(), nullable=True),
    )
