// Keeps idle CPUs from sleeping while live requests follow each other. To wake a sleeping CPU took 43 us here, four
// times on the way of a request; a CPU that polls takes a few.
#pragma once

#include <cstdint>

#include "channel/fd.h"
#include "isolation/tool.h"
#include "lane.h"

namespace interleave {

// A request to the kernel's power management (PM QoS) for the whole machine, while it is held; the kernel drops it when
// the process ends. Nothing is asked of CPUs that have work, of either lane. One thread after construction.
class AwakeCpus {
 public:
  // `isWanted` false: switched off by the operator, or the batch lane.
  AwakeCpus(Lane lane, bool isWanted);

  // What it can do, constant from construction on. Any thread.
  const IsolationTool& tool() const { return tool_; }

  // CPUs stay awake from now on, or may sleep again. Nothing where the tool is not active.
  void Hold();
  void Release();

 private:
  void Ask(std::int32_t latencyUs);

  Fd device_;
  std::int32_t heldLatencyUs_ = 0;
  IsolationTool tool_;
};

}  // namespace interleave
