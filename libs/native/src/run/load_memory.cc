#include "run/load_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace interleave {
namespace {

constexpr std::int64_t kMib = 1 << 20;
constexpr std::int64_t kGib = 1 << 30;
constexpr std::int64_t kStagesMax = 8;
// A stage holds its share of the weights and at most so much more of them (percent).
constexpr std::int64_t kStageMargin = 115;

// Rounded up, so that following the advice is enough.
std::string AtLeast(std::int64_t bytes) {
  char text[32];
  const std::int64_t tenths = (bytes * 10 + kGib - 1) / kGib;
  std::snprintf(text, sizeof(text), "%lld.%lld GiB", static_cast<long long>(tenths / 10),
                static_cast<long long>(tenths % 10));
  return text;
}

// At least so much comes back when the model is unloaded: a part of what loading took was for the load itself, which is
// PER_MODEL_BYTES and GRAPH_BYTE_MORE of libs/models/src/model-bytes.ts.
std::int64_t FreedBy(const LoadedNeed& loaded) {
  return std::max<std::int64_t>(0, loaded.needBytes - 16 * kMib) / 5 * 4;
}

// The fewest stages of which each would have room; 0: not even the most.
std::int64_t StagesFor(std::int64_t needBytes, std::int64_t roomBytes) {
  for (std::int64_t stages = 2; stages <= kStagesMax; ++stages) {
    if (needBytes / stages * kStageMargin / 100 <= roomBytes) return stages;
  }
  return 0;
}

}  // namespace

std::string BytesText(std::int64_t bytes) {
  char text[32];
  if (bytes < kGib) {
    std::snprintf(text, sizeof(text), "%lld MiB", static_cast<long long>(bytes / kMib));
  } else {
    std::snprintf(text, sizeof(text), "%.1f GiB", static_cast<double>(bytes) / static_cast<double>(kGib));
  }
  return text;
}

// proc_pid_statm(5), in pages: size resident shared. Pages of files can be had back.
std::int64_t ResidentBytes() {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen("/proc/self/statm", "re"), std::fclose);
  long long resident = 0;
  long long shared = 0;
  if (file == nullptr || std::fscanf(file.get(), "%*d %lld %lld", &resident, &shared) != 2) return 0;
  return (resident - shared) * sysconf(_SC_PAGESIZE);
}

LoadMemory::LoadMemory(LoadMemoryOptions options) : options_(options) {}

bool LoadMemory::Begin(std::size_t loader, std::int64_t needBytes, Room& room) {
  const std::scoped_lock lock(mutex_);
  const std::int64_t residentBytes = options_.resident();
  const std::int64_t usedBytes = std::max(residentBytes, *std::ranges::max_element(endBytes_));
  bool hasRoom = true;
  if (options_.limitBytes > 0) {
    room = {.freeBytes = options_.limitBytes - usedBytes, .isOfMachine = false};
    hasRoom = needBytes <= room.freeBytes;
  } else {
    const MachineMemory machine = options_.machine();
    room = {.freeBytes = machine.availableBytes - machine.shortBytes - (usedBytes - residentBytes),
            .isOfMachine = true};
    hasRoom = machine.availableBytes == 0 || needBytes <= room.freeBytes || usedBytes + needBytes <= machine.largeBytes;
  }
  room.freeBytes = std::max<std::int64_t>(0, room.freeBytes);
  if (!hasRoom && needBytes > 0) return false;
  endBytes_[loader] = usedBytes + needBytes;
  return true;
}

void LoadMemory::End(std::size_t loader) {
  const std::scoped_lock lock(mutex_);
  endBytes_[loader] = 0;
}

std::string NoRoomText(const std::string& model, std::int64_t needBytes, const LoadMemory::Room& room,
                       std::int64_t limitBytes, const std::vector<LoadedNeed>& loaded) {
  const std::int64_t missingBytes = needBytes - room.freeBytes;
  std::string text = "it needs about " + BytesText(needBytes) + " of memory, as the sizes of its files say, and " +
                     BytesText(room.freeBytes);
  text +=
      room.isOfMachine ? " of the machine's are free" : " of the " + BytesText(limitBytes) + " of this worker are free";
  text += room.isOfMachine ? "; give the machine " + AtLeast(missingBytes) + " more"
                           : "; raise memory of its partition, which its workers share equally, by " +
                                 AtLeast(missingBytes) + " for each of them";
  const LoadedNeed* victim = nullptr;
  for (const LoadedNeed& other : loaded) {
    if (FreedBy(other) >= missingBytes && (victim == nullptr || other.needBytes < victim->needBytes)) victim = &other;
  }
  if (victim != nullptr)
    text += ", or unload " + victim->name + " (" + BytesText(victim->needBytes) + ") and load this";
  const std::int64_t stages = room.isOfMachine ? 0 : StagesFor(needBytes, room.freeBytes);
  if (stages > 0) {
    text += ", or split it: interleave split " + model + " --stages " + std::to_string(stages) +
            " makes models of about " + BytesText(needBytes / stages) + " for " + std::to_string(stages) +
            " partitions";
  }
  return text;
}

}  // namespace interleave
