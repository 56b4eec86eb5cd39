#include "coalesce/admission.h"

namespace interleave {

Admission Admit(const AdmissionRequest& request) {
  if (request.timeoutNs == 0) return {.admitted = true};
  if (request.costHighNs > request.timeoutNs) return {.admitted = false, .retryAfterNs = -1};
  const std::int64_t waitNs = request.backlogNs / request.executors;
  const std::int64_t overNs = waitNs + waitNs / 4 + request.costHighNs - request.timeoutNs;
  // A backlog shrinks by as much as it weighs: the reserve shrinks along with it.
  return overNs <= 0 ? Admission{.admitted = true} : Admission{.admitted = false, .retryAfterNs = overNs * 4 / 5};
}

}  // namespace interleave
