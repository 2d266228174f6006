"""The Flask application, put together in one visible list."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from app.api import faults, requests
from app.api.auth import EXTENSION
from app.api.byre import boot, cache, docs, drift, monitoring, plans, runs
from app.api.byre import hypervisors as byre_hypervisors
from app.api.byre import images as byre_images
from app.api.compute import (
    aggregates,
    audit_log,
    external_events,
    flavor_access,
    flavors,
    hosts,
    hypervisors,
    image_metadata,
    instance_actions,
    interfaces,
    keypairs,
    limits,
    live_migrations,
    migrations,
    remote_consoles,
    server_actions,
    server_addresses,
    server_diagnostics,
    server_groups,
    server_metadata,
    server_parts,
    server_security,
    server_tags,
    servers,
    usage,
    volumes,
    zones,
)
from app.api.compute import extensions as compute_extensions
from app.api.compute import floating_ips as compute_floating_ips
from app.api.compute import images as compute_images
from app.api.compute import networks as compute_networks
from app.api.compute import quotas as compute_quotas
from app.api.compute import security_groups as compute_security_groups
from app.api.compute import services as compute_services
from app.api.compute import versions as compute_versions
from app.api.identity import (
    application_credentials,
    domains,
    projects,
    roles,
    services,
    tokens,
    users,
)
from app.api.identity import versions as identity_versions
from app.api.image import files, image_actions, image_patches, images, imports
from app.api.image import schemas as image_schemas
from app.api.image import versions as image_versions
from app.api.network import (
    auto_topology,
    extensions,
    floating_ips,
    networks,
    others,
    ports,
    quotas,
    routers,
    security_groups,
    security_rules,
    subnets,
    tags,
)
from app.api.network import versions as network_versions
from app.api.routes import Api, Routes
from app.api.versioned import document_changed
from app.db.session import Sessions
from app.runs.publish import Publisher
from app.services.context import Context
from config.settings import ControlSettings

ROUTES: tuple[Routes, ...] = (
    identity_versions.routes,
    tokens.routes,
    projects.routes,
    users.routes,
    application_credentials.routes,
    roles.routes,
    domains.routes,
    services.routes,
    compute_versions.routes,
    servers.routes,
    server_actions.routes,
    remote_consoles.routes,
    server_groups.routes,
    server_security.routes,
    server_metadata.routes,
    server_tags.routes,
    live_migrations.routes,
    migrations.routes,
    server_addresses.routes,
    instance_actions.routes,
    interfaces.routes,
    server_diagnostics.routes,
    server_parts.routes,
    volumes.attachment_routes,
    volumes.volume_routes,
    volumes.snapshot_routes,
    flavors.routes,
    flavor_access.routes,
    keypairs.routes,
    hypervisors.routes,
    compute_services.routes,
    aggregates.routes,
    zones.routes,
    hosts.routes,
    usage.routes,
    audit_log.routes,
    compute_extensions.routes,
    external_events.routes,
    limits.routes,
    compute_quotas.routes,
    compute_quotas.class_routes,
    compute_images.routes,
    image_metadata.routes,
    compute_networks.routes,
    compute_networks.tenant_routes,
    compute_security_groups.routes,
    compute_security_groups.rule_routes,
    compute_floating_ips.routes,
    compute_floating_ips.pool_routes,
    image_versions.routes,
    images.routes,
    image_patches.routes,
    image_actions.routes,
    image_schemas.routes,
    imports.routes,
    files.routes,
    network_versions.routes,
    extensions.routes,
    networks.routes,
    subnets.routes,
    ports.routes,
    routers.routes,
    floating_ips.routes,
    auto_topology.routes,
    others.routes,
    security_groups.routes,
    security_rules.routes,
    tags.routes,
    quotas.routes,
    runs.routes,
    plans.routes,
    boot.routes,
    drift.routes,
    byre_hypervisors.routes,
    cache.routes,
    byre_images.routes,
    monitoring.routes,
    docs.routes,
)

#: Bytes of a request's body. Images have a limit of their own.
MAX_BODY = 1024 * 1024

SECURITY = {
    "security": [{"token": []}],
    "components": {
        "securitySchemes": {
            "token": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
        }
    },
}


def create_app(settings: ControlSettings, sessions: Sessions, publisher: Publisher) -> Flask:
    """Return the application. It opens nothing itself: what it works with is given."""
    # Static files would be a route without a row in the policy.
    app = Flask("byre", static_folder=None)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY,
        PROVIDE_AUTOMATIC_OPTIONS=False,
        API_TITLE="Byre",
        API_VERSION="v1",
        OPENAPI_VERSION="3.0.3",
        API_SPEC_OPTIONS=SECURITY,
    )
    # Clients ask for `/v2.1` and for `/v2.1/`, and some do not follow a redirect.
    app.url_map.strict_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions[EXTENSION] = Context(sessions, settings, publisher)
    requests.register(app)
    api = Api(app)
    api.ma_plugin.converter.add_attribute_function(document_changed)
    for routes in ROUTES:
        api.register_blueprint(routes.blueprint)
    app.extensions[docs.DOCUMENT] = api.spec
    faults.register(app)
    _trust_proxies(app, settings.api_trusted_proxies)
    return app


def _trust_proxies(app: Flask, count: int) -> None:
    """Believe what so many proxies say of scheme, host and prefix: links are made from them."""
    if count:
        app.wsgi_app = ProxyFix(  # type: ignore[method-assign]
            app.wsgi_app, x_for=count, x_proto=count, x_host=count, x_prefix=count
        )
