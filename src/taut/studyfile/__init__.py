"""study.toml: what a user asked for, read and checked before anything is written.

reader       the file as a whole: `read`; the parts other than evaluation
evaluation   the command or function and what belongs to it
slurm        [on.slurm]: the jobs of a cluster
options      options of sbatch that taut sets itself
keys         which keys there are, and where a misplaced one belongs
table        typed access to one table
syntax       parsing, with hints for common slips
lines        on which line a key stands
template     the file that `taut init` writes
"""

from taut.duration import parse_duration
from taut.studyfile.reader import located, read, read_text, template

__all__ = ["located", "parse_duration", "read", "read_text", "template"]
