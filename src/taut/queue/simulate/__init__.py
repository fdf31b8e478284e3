"""What a batch queue would do to a plan: a cluster on a virtual clock, other people's jobs, and a study among them.

cluster.py      what a cluster is: nodes, partitions, limits, policy
workload.py     other people's jobs
simulation.py   the queue on its virtual clock; backfill.py, profile.py, free.py, usage.py and fairness.py are its parts
drawn.py        in its place: a queue of which only the waits are known
plan.py         the shape of a study's jobs, and what its trials are like
campaign.py     a study's jobs on the queue; worker.py and desk.py decide as real workers do
course.py       what came of it: a timeline, and where the hours went
many.py         the times alone, of many cases at once
rehearse.py     whole studies: regret against hours; surrogate.py and problems.py are what they find
"""

from taut.queue.simulate.campaign import Campaign, Queue
from taut.queue.simulate.cluster import Cluster, Failures, Limits, Partition, Policy, Weights
from taut.queue.simulate.course import Hours, hours, timeline
from taut.queue.simulate.desk import Desk
from taut.queue.simulate.drawn import DrawnQueue, Waits
from taut.queue.simulate.job import Job, Owner, Ran, Why
from taut.queue.simulate.many import Times, play
from taut.queue.simulate.plan import Mode, Objective, Shape, Trials
from taut.queue.simulate.problems import PROBLEMS, Problem
from taut.queue.simulate.rehearse import Rehearsal, regrets, rehearse, table
from taut.queue.simulate.simulation import Simulation
from taut.queue.simulate.surrogate import Neighbours
from taut.queue.simulate.times import Lognormal
from taut.queue.simulate.workload import Workload, load

__all__ = [
    "PROBLEMS", "Campaign", "Cluster", "Desk", "DrawnQueue", "Failures", "Hours", "Job", "Limits", "Lognormal", "Mode", "Neighbours",
    "Objective", "Owner", "Partition", "Policy", "Problem", "Queue", "Ran", "Rehearsal", "Shape", "Simulation", "Times", "Trials",
    "Waits", "Weights", "Why", "Workload", "hours", "load", "play", "regrets", "rehearse", "table", "timeline",
]  # fmt: skip
