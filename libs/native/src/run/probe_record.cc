#include "run/probe_record.h"

#include <filesystem>
#include <fstream>

namespace interleave {

int ProbeRecord::Deaths(const std::string& modelPath) const {
  std::error_code error;
  const auto modelTime = std::filesystem::last_write_time(modelPath, error);
  const auto recordTime = std::filesystem::last_write_time(path_, error);
  if (error || recordTime < modelTime) return 0;
  int deaths = 0;
  std::ifstream(path_) >> deaths;
  return deaths;
}

ProbeRecord::Probing::Probing(const ProbeRecord& record, int deaths) : record_(record) {
  if (!record_.path_.empty()) std::ofstream(record_.path_) << deaths + 1 << std::flush;
}

ProbeRecord::Probing::~Probing() {
  std::error_code ignored;
  if (!record_.path_.empty()) std::filesystem::remove(record_.path_, ignored);
}

}  // namespace interleave
