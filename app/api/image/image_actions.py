"""Single tags of images, and taking them out of use."""

from app.api.auth import caller, context
from app.api.dialects import IMAGE
from app.api.routes import Routes
from app.api.texts import check_text
from app.services import image_actions

routes = Routes(IMAGE, "image_actions", "Tags and actions of images.", "/v2/images/<image_id>")

_TAG = "/tags/<tag>"


@routes.endpoint("PUT", _TAG, "images:update", status=204, errors=(400, 404, 413))
def add_tag(image_id: str, tag: str) -> None:
    """Give an image one tag more"""
    check_text(tag)
    image_actions.add_tag(context(), caller(), image_id, tag)


@routes.endpoint("DELETE", _TAG, "images:update", status=204, errors=(404,))
def remove_tag(image_id: str, tag: str) -> None:
    """Take a tag from an image"""
    image_actions.remove_tag(context(), caller(), image_id, tag)


@routes.endpoint("POST", "/actions/deactivate", "images:deactivate", status=204, errors=(404,))
def deactivate_image(image_id: str) -> None:
    """Let nobody have an image's bytes, and no new server be made from it"""
    image_actions.deactivate(context(), caller(), image_id)


@routes.endpoint("POST", "/actions/reactivate", "images:deactivate", status=204, errors=(404,))
def reactivate_image(image_id: str) -> None:
    """Let a deactivated image be used again"""
    image_actions.reactivate(context(), caller(), image_id)
