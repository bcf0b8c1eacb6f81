"""`neuroinspect review serve`: the page where reviewers look, judge and decide."""

import logging
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import SecretBytes, ValidationError

from neuroinspect import assembly
from neuroinspect.cli.options import DEFAULT_PARAMS, Json, ParamsFile, Quiet, command, read_machinery
from neuroinspect.cli.review.standing import speaker
from neuroinspect.cli.screen import Screen, session
from neuroinspect.errors import ReviewError, SettingsError
from neuroinspect.machinery import PAGE_PORT, Machinery

if TYPE_CHECKING:
    from neuroinspect.web.settings import PageSettings

ACCESS_LOG = "neuroinspect.web.safety.access_log"
_LOGIN, _SERVER = "Who may review", "Where it is served"


def add_command(app: typer.Typer) -> None:
    """Add `serve`."""
    app.command("serve")(serve)


def serve(
    host: Annotated[
        str,
        typer.Option(help="address to listen on; beyond this machine a login is asked for", rich_help_panel=_SERVER),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one", rich_help_panel=_SERVER)] = PAGE_PORT,
    hosts: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="further names the page is reached by; that of NEUROINSPECT_PAGE_URL is known",
            rich_help_panel=_SERVER,
        ),
    ] = "",
    certificate: Annotated[
        Path | None, typer.Option(metavar="PEM", help="certificate for TLS", rich_help_panel=_SERVER)
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="PEM", help="its key", rich_help_panel=_SERVER)] = None,
    login: Annotated[
        bool, typer.Option("--login", help="ask for a token on this machine too", rich_help_panel=_LOGIN)
    ] = False,
    by: Annotated[
        str | None,
        typer.Option(help="who reviews where nobody logs in; your user name if left out", rich_help_panel=_LOGIN),
    ] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="address or network of a reverse proxy", rich_help_panel=_LOGIN),
    ] = None,
    user_header: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="header in which these proxies say who the user is", rich_help_panel=_LOGIN),
    ] = None,
    edits: Annotated[
        bool,
        typer.Option(
            "--edits/--no-edits",
            help="carry out what is decided and look after the runs, or leave that to `review watch`",
        ),
    ] = True,
    log_requests: Annotated[bool, typer.Option("--log-requests", help="say who asked for what")] = False,
    browser: Annotated[bool, typer.Option("--open/--no-open", help="open the page in a browser")] = False,
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Serve the review page until Ctrl-C, and carry out what is decided on it."""
    with session(quiet=quiet, as_json=as_json) as screen:
        assembly.refuse_missing_page()
        logging.getLogger(ACCESS_LOG).setLevel(logging.NOTSET if log_requests else logging.WARNING)
        machinery = read_machinery(params_file)
        settings = _settings(
            machinery,
            host=host,
            port=port,
            names=[name.strip() for name in hosts.split(",") if name.strip()],
            certificate=certificate,
            certificate_key=key,
            login=login,
            reviewer=_somebody(by),
            proxies=trusted_proxy or [],
            user_header=user_header,
        )
        _serve(machinery, settings, edits=edits, announce=_announced(screen, machinery, settings, params_file, browser))


def _serve(machinery: Machinery, settings: "PageSettings", *, edits: bool, announce: Callable[[str], None]) -> None:
    """Serve the page, with what brings decisions to their edits and tells others beside it."""
    from neuroinspect.web.app import create_app
    from neuroinspect.web.serving import PageServer

    store = assembly.needed_review_store(machinery)
    store.pending()  # a store that cannot be used is said now, not at the first visit
    outbox, hook = assembly.outbox(machinery, store), assembly.webhook(machinery, store)
    lost, aliases = assembly.lost_runs(machinery), assembly.alias_rounds(machinery)
    tokens = assembly.reviewers(machinery) if settings.asks_who else None
    app = create_app(store, settings=settings, reviewers=tokens, nudge=outbox.nudge)
    server = PageServer(app, settings)
    announce(server.address)
    with ExitStack() as stack:
        if edits:
            stack.enter_context(outbox.in_background())
            stack.enter_context(aliases.in_background())
            if lost is not None:
                stack.enter_context(lost.rounds.in_background())
        if hook is not None:
            stack.enter_context(hook.in_background())
        server.run()


def _settings(machinery: Machinery, *, names: list[str], **values: Any) -> "PageSettings":
    from neuroinspect.web.settings import PageSettings, signing_key

    own = urlsplit(machinery.page_url).hostname if machinery.page_url is not None else None
    known = [*names, own] if own is not None else names
    try:
        return PageSettings(names=frozenset(known), key=SecretBytes(signing_key(machinery.state)), **values)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, one['loc'])) or 'the options'}: {one['msg']}" for one in error.errors()]
        # Not chained: pydantic's own message holds the values, and one of them is the key.
        raise SettingsError("the page cannot be served so:\n" + "\n".join(lines)) from None


def _somebody(by: str | None) -> str | None:
    """Who reviews where nobody logs in; nobody where this machine knows no name, and then nothing can be written."""
    try:
        return speaker(by)
    except ReviewError:
        return None


def _announced(
    screen: Screen, machinery: Machinery, settings: "PageSettings", params_file: Path, browser: bool
) -> Callable[[str], None]:
    def announce(address: str) -> None:
        page = machinery.page_url or address
        lines = [f"page     {page}" + (f" (listening on {address})" if page != address else "")]
        if not settings.asks_who:
            lines.append(f"reviewer {settings.reviewer or 'nobody, so nothing can be written; give --by NAME'}")
        elif settings.user_header is None and not assembly.reviewers(machinery).listed():
            add = command("review token add", params_file, "run", None)
            lines.append(f"login    nobody has a token yet; give one out: {add} NAME")
        else:
            lines.append(
                "login    with a token, or as the proxy says" if settings.user_header else "login    with a token"
            )
        screen.finish({"address": address, "page": page, "login": settings.asks_who}, *lines, "stop     Ctrl-C")
        if browser:
            webbrowser.open(page)

    return announce
