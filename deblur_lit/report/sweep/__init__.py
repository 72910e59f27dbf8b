"""One page to watch a sweep by: status of its jobs, curves, scores, pictures. Made of what lies in run folders."""
