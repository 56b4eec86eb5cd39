// Does a request still make its deadline behind the work that waits? The only place of the formula.
#pragma once

#include <cstdint>

namespace interleave {

// How often the predicted wait has to fit: what is measured decides (WaitFactorAfter), between these.
inline constexpr double kWaitFactorStart = 2.5;
inline constexpr double kWaitFactorMin = 1.25;
inline constexpr double kWaitFactorMax = 4;

struct AdmissionRequest {
  // Predicted work that waits or runs, over all executors: items that share runs count as in the best runs.
  std::int64_t backlogNs = 0;
  // At least 1.
  std::int64_t executors = 1;
  // Cost of the request by itself, by the high ratio.
  std::int64_t costHighNs = 0;
  // What is left until the deadline; 0: none.
  std::int64_t timeoutNs = 0;
  double waitFactor = kWaitFactorStart;
};

struct Admission {
  bool admitted = false;
  // When it would fit, if nothing else came; 0 when admitted, -1 when it would not even on an idle worker.
  std::int64_t retryAfterNs = 0;
};

// Graham's bound for list scheduling (1966): the last of all waiting items starts at the latest when the work before
// it, shared evenly among the executors, is done. That wait must fit `waitFactor` times before the deadline.
Admission Admit(const AdmissionRequest& request);

// One admitted request that was answered, or that its deadline ended.
struct WaitSample {
  // The backlog when it was admitted ÷ executors, and the cost that was counted for its request.
  std::int64_t waitNs = 0;
  std::int64_t costHighNs = 0;
  // From its admission to its end.
  std::int64_t elapsedNs = 0;
  std::int64_t timeoutNs = 0;
  // As QueueEntry::priority.
  std::uint8_t priority = 0;
  // By which it was admitted.
  double waitFactor = kWaitFactorStart;
};

// The wait factor after this request, so that the longest waits end at four fifths of the time until the deadline:
// raised at once, by a quarter at the most, when this one ended later; lowered by 1/1024 of the way when it ended
// earlier although the queue was nearly as full as it may be. What shared runs that overtake and a machine that slows
// down add to a prediction differs: simulated it is a quarter at the most; on two CPUs that executors, api and callers
// share (bench/online) waits were 1.3 times the predicted in the median and 1.9 at worst, more while a process compiles
// its code. Any other answer leads a factor above the start back to it by 1/1024, so that none stays high where nothing
// fills the queue any more. Requests that hardly waited, or of a priority below the default, do not raise it: others
// may overtake the last as they like.
double WaitFactorAfter(double waitFactor, const WaitSample& sample);

}  // namespace interleave
