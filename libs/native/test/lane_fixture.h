// Pages of the lane control in a folder of their own.
#pragma once

#include <string>
#include <vector>

#include "lane/lane_page.h"
#include "test_models.h"

namespace interleave::test {

class LanePages {
 public:
  std::string PathOf(const std::string& worker) { return dir_.File(worker + ".lane"); }
  MappedLanePage Open(const std::string& worker) { return MappedLanePage(PathOf(worker)); }
  std::vector<MappedLanePage> OpenAll(const std::vector<std::string>& workers) {
    std::vector<MappedLanePage> pages;
    for (const std::string& worker : workers) pages.push_back(Open(worker));
    return pages;
  }

 private:
  TempDir dir_;
};

}  // namespace interleave::test
