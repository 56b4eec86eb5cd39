#include "coalesce/admission.h"

#include <algorithm>
#include <cmath>

#include "coalesce/coalescer.h"

namespace interleave {
namespace {

// Of the time that the wait may take.
constexpr double kUseWanted = 0.8;
constexpr double kUseNearlyFull = 0.75;
// Of the way from a higher factor to a lower one, for each item.
constexpr double kDecay = 1.0 / 1024;
// Of the timeout: shorter waits vary by more than by what they are made of.
constexpr std::int64_t kWaitShareMin = 8;

}  // namespace

Admission Admit(const AdmissionRequest& request) {
  if (request.timeoutNs == 0) return {.admitted = true};
  if (request.costHighNs > request.timeoutNs) return {.admitted = false, .retryAfterNs = -1};
  const auto waitNs = static_cast<double>(request.backlogNs / request.executors);
  const double overNs = waitNs * request.waitFactor - static_cast<double>(request.timeoutNs - request.costHighNs);
  if (overNs <= 0) return {.admitted = true};
  // A backlog shrinks by as much as it weighs, and what is kept free along with it.
  return {.admitted = false, .retryAfterNs = static_cast<std::int64_t>(std::ceil(overNs / request.waitFactor))};
}

double WaitFactorAfter(double waitFactor, const WaitSample& sample) {
  if (sample.timeoutNs == 0 || sample.waitNs * kWaitShareMin < sample.timeoutNs) return waitFactor;
  if (PriorityLevel(sample.priority) > PriorityLevel(0)) return waitFactor;
  const auto mayWaitNs = static_cast<double>(std::max<std::int64_t>(1, sample.timeoutNs - sample.costHighNs));
  const double used = static_cast<double>(sample.elapsedNs - sample.costHighNs) / mayWaitNs;
  const double wanted = std::clamp(sample.waitFactor * used / kUseWanted, kWaitFactorMin, kWaitFactorMax);
  if (wanted >= waitFactor) return wanted;
  const bool wasNearlyFull = static_cast<double>(sample.waitNs) * sample.waitFactor >= kUseNearlyFull * mayWaitNs;
  return wasNearlyFull ? waitFactor + (wanted - waitFactor) * kDecay : waitFactor;
}

}  // namespace interleave
