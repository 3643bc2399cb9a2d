// Which component shows which page.

import type { ComponentType } from "preact";
import ComparePage from "../compare/ComparePage";
import ExplorePage from "../explore/ExplorePage";
import LivePage from "../live/LivePage";
import MapPage from "../map/MapPage";
import OpenPage from "../open/OpenPage";
import SearchPage from "../search/SearchPage";
import ServicePage from "../services/ServicePage";
import ServicesPage from "../services/ServicesPage";
import StatusPage from "../status/StatusPage";
import TracePage from "../trace/TracePage";
import type { PageName } from "../url";

export const PAGE_VIEWS: Partial<Record<PageName, ComponentType<{ id: string }>>> = {
  search: SearchPage,
  compare: ComparePage,
  explore: ExplorePage,
  services: ServicesPage,
  service: ServicePage,
  map: MapPage,
  live: LivePage,
  status: StatusPage,
  open: OpenPage,
  trace: TracePage,
};
