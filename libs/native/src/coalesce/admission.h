// Does a request still make its deadline behind the work that waits? The only place of the formula.
#pragma once

#include <cstdint>

namespace interleave {

struct AdmissionRequest {
  // Predicted work that waits or runs, over all executors: of items that share runs what they cost in the best batches.
  std::int64_t backlogNs = 0;
  // At least 1.
  std::int64_t executors = 1;
  // Of the request by itself, by the high ratio.
  std::int64_t costHighNs = 0;
  // What is left until the deadline; 0: none.
  std::int64_t timeoutNs = 0;
};

struct Admission {
  bool admitted = false;
  // When it would fit, if nothing else came; 0 when admitted, -1 when it would not even on an idle worker.
  std::int64_t retryAfterNs = 0;
};

// Graham's bound for list scheduling (1966): the last of all waiting items starts at the latest when the work before it,
// shared evenly among the executors, is done. Three quarters of that are kept in reserve, since shared runs and priorities
// let later items overtake earlier ones and since a machine slows down without notice: in simulation (1 and 4 executors,
// 1.2 to 10 times the capacity) a quarter was enough for every deadline; on two CPUs of a virtual machine (bench/online)
// one admitted request in four was late with that at ten times the capacity. Goodput does not need the longer queue.
Admission Admit(const AdmissionRequest& request);

}  // namespace interleave
