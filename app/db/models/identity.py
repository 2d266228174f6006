"""Projects, users, who has which role where, tokens, and logins that failed."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from app.db.models.base import Base, HasId, HasTimes


class HasEnd:
    """A row that others refer to for good, such as deleted servers to who made them: one that is
    deleted stays, without its name, which is free for another."""

    deleted_at: Mapped[datetime | None] = mapped_column(default=None)


class Project(HasId, HasTimes, HasEnd, Base):
    """A tenant: owns servers, images, keypairs; has limits. -1 means without limit (as in Nova)."""

    __tablename__ = "projects"

    name: Mapped[str] = mapped_column(String(64), unique=True)
    description: Mapped[str] = mapped_column(String(255), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    quota_servers: Mapped[int]
    quota_vcpus: Mapped[int]
    quota_memory_mib: Mapped[int]
    quota_networks: Mapped[int] = mapped_column(default=100)
    quota_subnets: Mapped[int] = mapped_column(default=100)
    quota_ports: Mapped[int] = mapped_column(default=500)
    quota_routers: Mapped[int] = mapped_column(default=10)
    quota_floating_ips: Mapped[int] = mapped_column(default=50)
    quota_security_groups: Mapped[int] = mapped_column(default=10)
    quota_security_group_rules: Mapped[int] = mapped_column(default=100)
    quota_key_pairs: Mapped[int] = mapped_column(default=100)
    quota_metadata_items: Mapped[int] = mapped_column(default=128)
    quota_server_groups: Mapped[int] = mapped_column(default=10)
    quota_server_group_members: Mapped[int] = mapped_column(default=10)
    quota_injected_files: Mapped[int] = mapped_column(default=5)
    quota_injected_file_content_bytes: Mapped[int] = mapped_column(default=10240)
    quota_injected_file_path_bytes: Mapped[int] = mapped_column(default=255)
    #: Which of compute's limits an administrator has set for this project: all others follow the
    #: defaults (QuotaDefault).
    own_quotas: Mapped[list[str]] = mapped_column(default=list)


class QuotaDefault(Base):
    """A limit of projects that have none of their own, if it is not the settings'."""

    __tablename__ = "quota_defaults"

    #: In Nova's word.
    resource: Mapped[str] = mapped_column(String(64), primary_key=True)
    limit: Mapped[int]


class User(HasId, HasTimes, HasEnd, Base):
    """Someone who can log in. The password is an argon2 hash; empty for who has none."""

    __tablename__ = "users"

    name: Mapped[str] = mapped_column(String(255), unique=True)
    email: Mapped[str | None] = mapped_column(String(255), default=None)
    description: Mapped[str] = mapped_column(String(255), default="")
    password_hash: Mapped[str] = mapped_column(String(255))
    enabled: Mapped[bool] = mapped_column(default=True)
    default_project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id"), default=None)


class RoleAssignment(Base):
    """A user's role in a project: one of app.services.roles."""

    __tablename__ = "role_assignments"
    __table_args__ = (Index("ix_role_assignments_project_id", "project_id"),)

    user_id: Mapped[str] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True
    )
    project_id: Mapped[str] = mapped_column(
        ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True
    )
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class ApplicationCredential(HasId, HasTimes, Base):
    """What a program logs in with in a user's stead: for one project, with some of the roles that
    the user has there. The secret is an argon2 hash, since users may choose it themselves."""

    __tablename__ = "application_credentials"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        Index("ix_application_credentials_project_id", "project_id"),
    )

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(String(255), default="")
    secret_hash: Mapped[str] = mapped_column(String(255))
    roles: Mapped[list[str]]
    #: May whoever logs in with it make and remove such credentials?
    unrestricted: Mapped[bool] = mapped_column(default=False)
    expires_at: Mapped[datetime | None] = mapped_column(default=None)


class Token(Base):
    """A bearer token. Only its SHA-256 is kept: reading the table logs nobody in."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index("ix_tokens_expires_at", "expires_at"),
        Index("ix_tokens_application_credential_id", "application_credential_id"),
    )

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    audit_id: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    #: That its owner logged in with: it goes with the credential, and has no role beyond its.
    application_credential_id: Mapped[str | None] = mapped_column(
        ForeignKey("application_credentials.id", ondelete="CASCADE"), default=None
    )
    #: How its owner proved who they are.
    methods: Mapped[list[str]] = mapped_column(default=lambda: ["password"])
    #: Of the first token, for one that was given for a token.
    first_audit_id: Mapped[str | None] = mapped_column(String(32), default=None)
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]

    user: Mapped[User] = relationship()
    project: Mapped[Project | None] = relationship()


class FailedLogin(Base):
    """Somebody gave a wrong secret: who they said they were, and from where. Kept for as long as
    it counts against the next try."""

    __tablename__ = "failed_logins"
    __table_args__ = (
        Index("ix_failed_logins_who_at", "who", "at"),
        Index("ix_failed_logins_address_at", "address", "at"),
        Index("ix_failed_logins_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: A digest: people type their password where the name belongs.
    who: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(45))
    at: Mapped[datetime]
