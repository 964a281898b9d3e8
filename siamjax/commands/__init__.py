"""The subcommands of `siamjax`, one file and one function each."""
