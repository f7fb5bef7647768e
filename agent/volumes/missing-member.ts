export { MissingMember } from "../blocks/missing-member.ts";
