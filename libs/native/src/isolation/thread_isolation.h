// What keeps executors out of each other's way: CPU affinity, scheduling class, nice and slice of the calling thread.
// Facts and figures: the kernel preempts SCHED_IDLE for anything else; a 0.1 ms slice (EEVDF, Linux 6.12) lets a live
// executor that wakes up run sooner.
#pragma once

#include <vector>

#include "isolation/tool.h"
#include "lane.h"

namespace interleave {

// Applies to the calling thread what an executor of `lane` on `cpu` should have, and says what worked. Never fails.
std::vector<IsolationTool> IsolateExecutor(Lane lane, int cpu);

// The calling thread runs on this CPU, where nothing else wants it. Tools that are not active are why that cannot be.
std::vector<IsolationTool> IsolateAwakeLoop(int cpu);

// Applies to the calling thread what the express executor should have: any of these CPUs, and before the executors that
// are pinned to them. Never fails.
void IsolateExpress(const std::vector<int>& cpus);

// Applies to the calling thread what a thread between callers and live executors should have: it wakes up about as soon
// as they do. Never fails.
IsolationTool IsolateFrontThread();

// Lets a helper thread of the batch lane (model loading) yield to live traffic; nothing in the realtime lane.
void IsolateHelper(Lane lane);

}  // namespace interleave
