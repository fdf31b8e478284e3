"""Reads the scripts that people already have, and drafts a study of them: `taut init`.

compose           from what was asked (request) to an outline: scripts, or others (configurations, functions, presets alone)
writing draft     from the outline to text; that it can be read, and what is said of it
continuing        a new study that begins as an earlier one, for another base model
selection         which flags are worth tuning, by the catalogue (picks: the answer; rules: conditions, couplings); fitting: its priors
                  on a script's own types and defaults
measuring         which metric, how it is read, how far trials are taken; findings: what the source says of that
words given       the words of the command: the study's, and the user's own
scope presets     what a script does, and what people set out to do (presets/*.toml)
spoken            which texts a script knows for a flag without choices
argumentparser dataclassfields decorated signatures helptext configs     the readers, one for each way of having flags
installed sources literals flags     packages looked up and source parsed, nothing imported or run; what a flag is
"""
