"""The servers of a team on one machine: what `neuroinspect up`, `down` and `status` do.

place -> ports -> programs -> leash (which ends what a program leaves) -> supervision -> health -> running (up and down)
"""
