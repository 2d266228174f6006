"""Nova's log of its own audits of usage. Byre makes none: usage is worked out when it is asked for,
so no host has run one."""

from datetime import UTC, datetime, timedelta
from typing import Any

from marshmallow import Schema, fields

from app.api.auth import context
from app.api.compute.schema import Json, answer
from app.api.dialects import COMPUTE
from app.api.routes import Routes
from app.services import hypervisors
from tasks.errors import RequestError

routes = Routes(
    COMPUTE,
    "audit_log",
    "Audits of usage, of which there are none.",
    "/v2.1/os-instance_usage_audit_log",
)

_FORMAT = "%Y-%m-%d %H:%M:%S"


class AuditLog(Schema):
    """What hosts have audited in the last whole month before a moment."""

    hosts_not_run = fields.List(fields.String(), required=True)
    log = fields.Dict(required=True)
    num_hosts = fields.Integer(required=True)
    num_hosts_done = fields.Integer(required=True)
    num_hosts_not_run = fields.Integer(required=True)
    num_hosts_running = fields.Integer(required=True)
    overall_status = fields.String(required=True)
    period_beginning = fields.String(required=True)
    period_ending = fields.String(required=True)
    total_errors = fields.Integer(required=True)
    total_instances = fields.Integer(required=True)


Logs = answer("AuditLogsAnswer", instance_usage_audit_logs=fields.Nested(AuditLog, required=True))
Log = answer("AuditLogAnswer", instance_usage_audit_log=fields.Nested(AuditLog, required=True))


@routes.endpoint("GET", "", "audit_log:show", returns=Logs)
def list_audits() -> Any:
    """Show which audits were made in the last whole month: none"""
    return {"instance_usage_audit_logs": _log(*_month_before(datetime.now(UTC)))}


@routes.endpoint("GET", "/<before>", "audit_log:show", returns=Log, errors=(400,))
def show_audits(before: str) -> Any:
    """Show which audits were made in the last whole month before a moment: none"""
    try:
        period = _month_before(datetime.fromisoformat(before))
    except (ValueError, OverflowError) as error:
        raise RequestError(f"Invalid timestamp for date {before}") from error
    return {"instance_usage_audit_log": _log(*period)}


def _month_before(moment: datetime) -> tuple[datetime, datetime]:
    end = moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


def _log(begin: datetime, end: datetime) -> Json:
    hosts = [view.name for view in hypervisors.listed(context())]
    return {
        "hosts_not_run": hosts,
        "log": {},
        "num_hosts": len(hosts),
        "num_hosts_done": 0,
        "num_hosts_not_run": len(hosts),
        "num_hosts_running": 0,
        "overall_status": f"0 of {len(hosts)} hosts done. 0 errors.",
        "period_beginning": begin.strftime(_FORMAT),
        "period_ending": end.strftime(_FORMAT),
        "total_errors": 0,
        "total_instances": 0,
    }
