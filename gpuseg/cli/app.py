"""The table of verbs."""

import typer

from gpuseg.cli import looking, running, setting_up

app = typer.Typer(
    name="gpuseg",
    help="From raw events to explained customer segments: the same code on a laptop, on one GPU, and on many.",
    epilog="Global flags: --json (one JSON object on stdout), -v (a line a stage), --debug (tracebacks).",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
config_app = typer.Typer(help="About the configuration.", no_args_is_help=True)
app.add_typer(config_app, name="config")

app.command()(setting_up.init)
config_app.command("schema")(setting_up.schema)
app.command()(setting_up.doctor)
app.command()(setting_up.synth)
app.command()(running.demo)
app.command()(running.run)
app.command()(running.validate)
app.command()(running.features)
app.command()(running.fit)
app.command()(running.assign)
app.command()(running.report)
app.command()(running.cut)
app.command()(looking.describe)
app.command()(looking.explain)
app.command()(looking.verify)
app.command()(looking.history)
app.command()(looking.rollback)
