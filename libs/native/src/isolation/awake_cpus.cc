#include "isolation/awake_cpus.h"

#include <fcntl.h>
#include <unistd.h>

#include <fstream>

namespace interleave {
namespace {

constexpr const char* kTool = "idle-latency";
constexpr const char* kDevice = "/dev/cpu_dma_latency";
constexpr const char* kDriverFile = "/sys/devices/system/cpu/cpuidle/current_driver";

// The kernel's PM_QOS_CPU_LATENCY_DEFAULT_VALUE: no wish.
constexpr std::int32_t kAnyLatencyUs = 2'000'000'000;
// In a virtual machine every sleep leaves the machine, whatever the driver says it costs: poll. On hardware the first
// sleep state takes 1 to 2 us (the kernel's tables of Intel CPUs) and spares most of the power.
constexpr std::int32_t kVirtualLatencyUs = 0;
constexpr std::int32_t kHardwareLatencyUs = 2;

std::string IdleDriver() {
  std::string driver;
  std::ifstream(kDriverFile) >> driver;
  return driver;
}

}  // namespace

AwakeCpus::AwakeCpus(AwakeOptions options) {
  if (!options.isWanted) {
    tool_ = Off(kTool, options.lane == Lane::kRealtime ? "realtime.awakeMs is 0" : "only wanted in the real-time lane");
    return;
  }
  const std::string driver = IdleDriver();
  if (driver.empty() || driver == "none") {
    Loop(std::move(options), "the kernel has no idle driver");
    return;
  }
  device_ = Fd(open(kDevice, O_WRONLY | O_CLOEXEC));
  heldLatencyUs_ = driver == "haltpoll" ? kVirtualLatencyUs : kHardwareLatencyUs;
  if (device_.valid()) {
    tool_ = Active(kTool);
  } else {
    Loop(std::move(options), std::string(kDevice) + ": " + ErrnoText());
  }
}

void AwakeCpus::Loop(AwakeOptions options, const std::string& why) {
  if (!options.loopRefusal.empty()) {
    tool_ = Off(kTool, why + "; no loops: " + options.loopRefusal);
    return;
  }
  loops_ = std::make_unique<AwakeLoops>(options.cpus);
  tool_ = loops_->problem().empty() ? Active(kTool, "by loops: " + why)
                                    : Unavailable(kTool, why + "; loops: " + loops_->problem());
}

void AwakeCpus::Hold() {
  if (loops_ != nullptr) return loops_->Hold();
  Ask(heldLatencyUs_);
}

void AwakeCpus::Release() {
  if (loops_ != nullptr) return loops_->Release();
  Ask(kAnyLatencyUs);
}

void AwakeCpus::Ask(std::int32_t latencyUs) {
  if (!device_.valid()) return;
  // Cannot fail with a valid descriptor and four bytes.
  [[maybe_unused]] const auto written = write(device_.get(), &latencyUs, sizeof latencyUs);
}

}  // namespace interleave
