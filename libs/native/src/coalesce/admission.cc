#include "coalesce/admission.h"

namespace interleave {
namespace {

// Three quarters of the wait.
constexpr std::int64_t WithReserve(std::int64_t waitNs) { return waitNs + waitNs * 3 / 4; }

}  // namespace

Admission Admit(const AdmissionRequest& request) {
  if (request.timeoutNs == 0) return {.admitted = true};
  if (request.costHighNs > request.timeoutNs) return {.admitted = false, .retryAfterNs = -1};
  const std::int64_t waitNs = request.backlogNs / request.executors;
  const std::int64_t overNs = WithReserve(waitNs) + request.costHighNs - request.timeoutNs;
  // A backlog shrinks by as much as it weighs: the reserve shrinks along with it. Rounded up.
  return overNs <= 0 ? Admission{.admitted = true} : Admission{.admitted = false, .retryAfterNs = (overNs * 4 + 6) / 7};
}

}  // namespace interleave
