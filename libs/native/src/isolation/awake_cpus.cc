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

AwakeCpus::AwakeCpus(Lane lane, bool isWanted) {
  if (!isWanted) {
    tool_ = Off(kTool, lane == Lane::kRealtime ? "realtime.awakeMs is 0" : "only wanted in the real-time lane");
    return;
  }
  const std::string driver = IdleDriver();
  if (driver.empty() || driver == "none") {
    tool_ = Off(kTool, "the kernel has no idle driver that supports it");
    return;
  }
  device_ = Fd(open(kDevice, O_WRONLY | O_CLOEXEC));
  heldLatencyUs_ = driver == "haltpoll" ? kVirtualLatencyUs : kHardwareLatencyUs;
  tool_ = device_.valid() ? Active(kTool) : Unavailable(kTool, std::string(kDevice) + ": " + ErrnoText());
}

void AwakeCpus::Hold() { Ask(heldLatencyUs_); }

void AwakeCpus::Release() { Ask(kAnyLatencyUs); }

void AwakeCpus::Ask(std::int32_t latencyUs) {
  if (!device_.valid()) return;
  // Cannot fail with a valid descriptor and four bytes.
  [[maybe_unused]] const auto written = write(device_.get(), &latencyUs, sizeof latencyUs);
}

}  // namespace interleave
